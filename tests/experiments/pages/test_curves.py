"""The page of runs in a browser: curves that tell their values, and a narrow screen."""

import json

import numpy as np
import pytest

from experiments import report
from experiments.config.loading import load_config, save_config
from experiments.pages.curves import plots_html
from tests.browser import chromium, console_errors
from tests.experiments.pages.test_listening import SIZES, UNNAMED, phone


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folders = []
    for factor, name in ((1.0, "first"), (4.0, "a_second_run_with_a_long_name")):
        folder = tmp_path_factory.mktemp("runs") / name
        folder.mkdir()
        save_config(load_config("sets/set4.py"), folder)
        entries = [
            {"step": step, "loss": factor / step, "mask_inference": 2 - step}
            | ({"validation_loss": 2 * factor / step} if step % 4 == 0 else {})
            for step in range(1, 101)
        ]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(e) + "\n" for e in entries))
        scores = {"si_sdr": 5.0, "si_sdr_improvement": 7.0, "frame_f1": 0.5, "onset_f1": 0.4}
        names = ["piano", "guitar", "bass", "drums", "strings"]
        results = {"instruments": names, "split": "test", "step": 8, "num_items": 3}
        results |= {"per_instrument": dict.fromkeys(names, scores), "mean": scores}
        (folder / "results.json").write_text(json.dumps(results))
        folders.append(folder)
    return report.write_report(folders)


@pytest.fixture(scope="module")
def browser(page):
    with chromium() as found:
        found.get(page.as_uri())
        yield found
        assert not console_errors(found)


def readout(browser):
    return browser.execute_script(
        "return [...document.querySelectorAll('figure')[0].querySelectorAll('output span')]"
        ".map((span) => span.textContent)"
    )


def heights(browser):
    """The y of the first curve's points."""
    path = browser.execute_script("return document.querySelector('figure .line').getAttribute('d')")
    return np.array([float(part.split()[1]) for part in path.replace("M", "L").split("L")[1:]])


def test_losses_come_first_and_scores_have_their_names():
    """Without a browser: what the page is given."""
    entry = {"step": 1, "learning_rate": 1e-3, "validation_onset_f1": 0.5}
    entry |= {"validation_si_sdr_improvement": 3.0, "mask_inference": 0.1, "loss": 0.2}
    text = plots_html({"run": [entry]})
    data = json.loads(text.partition('id="curves">')[2].partition("</script>")[0])
    assert [plot["title"] for plot in data["plots"]] == [
        *("loss", "mask inference", "SI-SDR improvement, dB", "onset F1", "learning rate"),
    ]


def test_curves_tell_their_values(browser):
    second = "a_second_run_with_a_long_name"
    assert readout(browser) == [
        *("at the end:", "first 0.01", "first, validation 0.02"),
        *(f"{second} 0.04", f"{second}, validation 0.08"),
    ]
    x = browser.execute_script(
        """const svg = document.querySelector("figure svg"), cursor = svg.querySelector(".cursor");
        svg.scrollIntoView({ block: "center" });
        const box = svg.getBoundingClientRect(), width = box.width - 52 - 12;
        const x = box.left + 52 + width * 49 / 99;
        svg.dispatchEvent(new PointerEvent("pointermove", { clientX: x }));
        return [x - box.left, Number(cursor.getAttribute("x1"))]"""
    )
    assert x[0] == pytest.approx(x[1], abs=1)
    assert readout(browser)[:3] == ["step 50:", "first 0.02", "first, validation 0.04167"]
    svg = browser.find_element("css selector", "figure svg")
    browser.execute_script("arguments[0].focus()", svg)
    svg.send_keys("\ue014")  # the right arrow
    assert readout(browser)[:2] == ["step 51:", "first 0.01961"]
    browser.execute_script("document.activeElement.blur()")
    assert readout(browser)[0] == "at the end:"


def test_a_logarithmic_scale(browser):
    """Halves lie at one distance; what is not above zero stays as it is."""
    linear = heights(browser)
    assert linear[9] - linear[4] == pytest.approx(
        (linear[4] - linear[1]) / 3, abs=0.2
    )  # .1, .2, .5
    browser.find_element("id", "log").click()
    found = heights(browser)
    steps = [found[2 * k - 1] - found[k - 1] for k in (1, 5, 40)]
    np.testing.assert_allclose(steps, steps[0], atol=0.2)
    assert steps[0] > 10
    assert browser.find_element("id", "log").get_attribute("aria-pressed") == "true"
    other = "return document.querySelectorAll('figure')[1].querySelector('.line').getAttribute('d')"
    before = browser.execute_script(other)
    browser.find_element("id", "log").click()
    assert browser.execute_script(other) == before
    np.testing.assert_array_equal(heights(browser), linear)


def test_on_a_phone(page):
    with phone(page) as browser:
        for summary in browser.find_elements("css selector", "summary"):
            browser.execute_script("arguments[0].parentElement.open = true", summary)
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        sizes = browser.execute_script(SIZES)
        assert sizes and not [size for size in sizes if min(size[1:]) < 44]
        assert not browser.execute_script(UNNAMED)
        wide = browser.execute_script(
            "return [...document.querySelectorAll('main > *')]"
            ".filter((each) => each.getBoundingClientRect().right > 391).length"
        )
        assert wide == 0
