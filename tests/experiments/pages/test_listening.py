"""The player that the pages of songs and runs share, in a browser: volumes, loops, names under the
pointer, two fingers, and a narrow screen."""

import contextlib

import numpy as np
import pytest

from tests.browser import chromium, console_errors
from tests.experiments.songs.test_page import NAMES, SECONDS, press, state, stop, write_page
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("a song"))


@pytest.fixture(scope="module")
def browser(page):
    with chromium() as found:
        found.get(page.as_uri())
        wait_for(lambda: found.execute_script("return listenings[0].player.leader.readyState") == 4)
        yield found
        assert not console_errors(found)


def of_player(browser, expression):
    return browser.execute_script(
        f"const l = listenings[0], {{ player, view, rows }} = l; return {expression}"
    )


def box(browser, row, kind):
    """Left, top, width and height of a lane of a row."""
    script = """const row = listenings[0].rows[arguments[0]];
        row.element.scrollIntoView({ block: "center" });
        const box = row.lanes.querySelector(`.${arguments[1]}`).getBoundingClientRect();
        return [box.left, box.top, box.width, box.height]"""
    return browser.execute_script(script, row, kind)


def mouse(browser, *events):
    """('mouseMoved', x, y) and the like; buttons are held from pressed to released."""
    held = 0
    for kind, x, y in events:
        held = {"mousePressed": 1, "mouseReleased": 0}.get(kind, held)
        button = "none" if kind == "mouseMoved" and not held else "left"
        options = {"type": kind, "x": x, "y": y, "button": button, "buttons": held, "clickCount": 1}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", options)


def test_a_volume_for_each_stem(browser):
    stop(browser)
    slider = browser.find_element("css selector", "[aria-label='Volume of drums']")
    full = of_player(browser, "player.sets.notes[1].volume")
    for _ in range(2):
        slider.send_keys("\ue00f")  # page down: a tenth of the slider
    value = int(slider.get_property("value"))
    assert value == 80
    assert slider.get_attribute("aria-valuetext") == "80 %"
    volumes = of_player(browser, "player.sets.stems.map((audio) => audio.volume)")
    np.testing.assert_allclose(volumes, [1, 0.8, 1])
    assert of_player(browser, "player.sets.notes[1].volume") == pytest.approx(0.8 * full)
    before = state(browser)["now"]
    slider.send_keys("\ue014")  # its own arrow, not a seek
    assert int(slider.get_property("value")) == 81 and state(browser)["now"] == before


def test_links_to_the_stems(browser, page):
    links = browser.find_elements("css selector", ".row .file")
    assert [link.text for link in links] == [f"{name}.wav" for name in NAMES]
    for link, name in zip(links, NAMES, strict=True):
        assert link.get_property("href") == (page.parent / f"{name}.wav").as_uri()
        assert link.get_attribute("download") == f"{name}.wav"


def test_a_loop_by_keys_and_buttons(browser):
    stop(browser)
    browser.execute_script("listenings[0].player.seek(4)")
    press(browser, "a")
    assert of_player(browser, "player.loop") == [4, SECONDS]
    browser.execute_script("listenings[0].player.seek(5)")
    browser.find_element("css selector", "[aria-label='Repeat until here']").click()
    assert of_player(browser, "player.loop") == [4, 5]
    assert browser.find_element("css selector", ".ends").text == "0:04.0 – 0:05.0"
    loop = browser.find_element("css selector", "button.loop")
    assert loop.get_attribute("aria-pressed") == "true"
    browser.execute_script("document.activeElement.blur(); listenings[0].player.seek(4.7)")
    press(browser, " ")
    wait_for(lambda: 4 <= state(browser)["now"] < 4.6)  # it came round
    assert of_player(browser, "player.playing")
    press(browser, " ", "l")
    assert of_player(browser, "player.loop") is None
    browser.execute_script("listenings[0].view.look(2, 3)")
    press(browser, "l")  # what is seen
    assert of_player(browser, "player.loop") == [2, 5]


def test_in_a_loop_the_stems_go_on_where_the_song_was(browser):
    stop(browser)
    browser.execute_script("listenings[0].player.repeat([2, 11]); listenings[0].player.seek(6)")
    press(browser, " ")
    wait_for(lambda: state(browser)["now"] > 6.1)
    press(browser, "2")
    wait_for(lambda: len(state(browser)["heard"]) == 3)
    assert 6 < state(browser)["now"] < 10
    wait_for(lambda: min(state(browser)["times"]) > 6)


def test_the_end_of_a_loop_before_its_start_begins_anew(browser):
    stop(browser)
    for key, seconds in (("a", 6), ("b", 3)):
        browser.execute_script("listenings[0].player.seek(arguments[0])", seconds)
        press(browser, key)
    assert of_player(browser, "player.loop") == [0, 3]


def test_a_loop_drawn_on_the_ruler(browser):
    stop(browser)
    left, top, width, height = box(browser, 0, "ruler")
    y = top + height / 2
    ends = (left + width / 4, left + width / 2)
    mouse(browser, ("mousePressed", ends[1], y), ("mouseMoved", ends[0], y))
    mouse(browser, ("mouseReleased", ends[0], y))
    np.testing.assert_allclose(of_player(browser, "player.loop"), [3, 6], atol=0.05)
    assert state(browser)["now"] == 0
    shown = of_player(browser, "rows.map((row) => row.looped.getBoundingClientRect().width)")
    np.testing.assert_allclose(shown, width / 4, atol=2)
    mouse(browser, ("mousePressed", left + width / 3, y), ("mouseReleased", left + width / 3, y))
    assert state(browser)["now"] == pytest.approx(4, abs=0.05)  # a click seeks


def test_names_under_the_pointer(browser):
    stop(browser)

    def tip(row, kind, x, y):
        left, top, width, height = box(browser, row, kind)
        mouse(browser, ("mouseMoved", left + x * width, top + y * height))
        return browser.execute_script(
            "const { tip } = listenings[0].rows[arguments[0]];"
            "return tip.hidden ? '' : tip.textContent",
            row,
        )

    # Notes of the piano: 60 + k at k / 2 s for 0.4 s; its true ones are a semitone higher.
    low, high = of_player(browser, "rows[1].range")
    y = (high - 1 - 60 + 0.5) / (high - low)
    assert tip(1, "roll", 0.2 / SECONDS, y) == "C4, at 0:00.0, 0.40 s"
    y = (high - 1 - 72 + 0.5) / (high - low)
    assert tip(1, "roll", 5.7 / SECONDS, y) == "true: C5, at 0:05.5, 0.40 s"
    assert tip(1, "roll", 0.2 / SECONDS, y) == ""
    low, high = of_player(browser, "rows[2].range")
    y = (high - 1 - 38 + 0.5) / (high - low)
    assert tip(2, "roll", 1.2 / SECONDS, y) == "acoustic snare, at 0:01.0"
    top, lowest = 22050 / 2, 40
    y = np.log(top / 440) / np.log(top / lowest)
    text = tip(1, "picture", 0.5, y)
    assert "near A4, at 0:06.0" in text and 420 < float(text.split()[0]) < 460
    assert tip(0, "ruler", 0.25, 0.5) == "0:03.0"


def test_frequencies_beside_the_spectrogram(browser):
    """The tone of the piano lies where the axis says it does."""
    stop(browser)
    rows = of_player(browser, "[100, 440, 1000].map((f) => heightOf(f, l.data.frequencies))")
    octaves = np.log2(22050 / 2 / 40)
    np.testing.assert_allclose(rows, [1 - np.log2(f / 40) / octaves for f in (100, 440, 1000)])
    brightness = browser.execute_script(
        """const { image } = listenings[0].rows[1].shown;
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const context = canvas.getContext("2d");
        context.drawImage(image, 0, 0);
        const { data } = context.getImageData(canvas.width / 2, 0, 1, canvas.height);
        return Array.from({ length: canvas.height }, (_, y) => data[4 * y] + data[4 * y + 1])"""
    )
    assert np.argmax(brightness) == pytest.approx(rows[1] * len(brightness), abs=2)
    text = browser.execute_script(
        """const said = [], context = new Proxy({}, {
          get: (_, name) => name === "fillText" ? (text, x, y) => said.push([text, y]) : () => {},
          set: () => true });
        drawPicture(context, { ...listenings[0].rows[1].shown, image: null }, 500, 64);
        return said"""
    )
    assert [line[0] for line in text] == ["100 Hz", "1 kHz", "10 kHz"]
    assert text[0][1] == pytest.approx(rows[0] * 64, abs=5)


def test_what_sounds_is_said_and_marked(browser):
    stop(browser)
    press(browser, "2")
    browser.find_element("css selector", "[aria-label='Mute other']").click()
    press(browser, " ")  # on a button: it is the button's
    browser.find_element("css selector", "[aria-label='Mute piano']").click()
    browser.execute_script("document.activeElement.blur()")
    press(browser, " ")
    wait_for(lambda: of_player(browser, "player.playing"))
    wait_for(lambda: "Playing" in browser.find_element("css selector", ".heard").text)
    heard = browser.find_element("css selector", ".heard").text
    sounding = of_player(
        browser,
        "rows.filter((row) => row.element.classList.contains('sounding')).map((r) => r.name)",
    )
    assert heard == f"Playing: Stems: {', '.join(sounding)}" and "piano" not in sounding
    assert "drums" in sounding
    stop(browser)


@contextlib.contextmanager
def phone(page):
    with chromium(size=(390, 844)) as browser:
        metrics = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        touch = {"enabled": True, "maxTouchPoints": 2}
        browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", touch)
        browser.get(page.as_uri())
        yield browser
        assert not console_errors(browser)


SIZES = """return [...document.querySelectorAll("button, input, a, summary")]
    .filter((each) => each.checkVisibility())
    .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect()])
    .map(([text, { width, height }]) => [text, width, height])"""
UNNAMED = """return [...document.querySelectorAll("button, input, canvas, [role=group]")]
    .filter((each) => !each.getAttribute("aria-label") && !each.textContent.trim())
    .map((each) => each.outerHTML)"""


def touch(browser, kind, *places):
    points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
    event = {"type": kind, "touchPoints": points}
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", event)


def test_on_a_phone(page):
    with phone(page) as browser:
        assert browser.execute_script("return document.documentElement.scrollWidth") == 390
        sizes = browser.execute_script(SIZES)
        assert len(sizes) > 15
        assert not [size for size in sizes if min(size[1:]) < 44]
        assert not browser.execute_script(UNNAMED)
        left, top, width, height = box(browser, 1, "roll")
        y = top + height / 2
        # A tap seeks and names; two fingers do not seek, they hold the moments under them.
        touch(browser, "touchStart", (left + width / 2, y))
        touch(browser, "touchEnd")
        assert of_player(browser, "player.now") == pytest.approx(SECONDS / 2, abs=0.1)
        touch(browser, "touchStart", (left + 0.25 * width, y))
        touch(browser, "touchStart", (left + 0.25 * width, y), (left + 0.5 * width, y))
        touch(browser, "touchMove", (left + 0.1 * width, y), (left + 0.6 * width, y))
        touch(browser, "touchEnd")
        start, end = of_player(browser, "[view.start, view.end]")
        assert end - start == pytest.approx(SECONDS / 2, rel=0.03)
        assert start + 0.1 * (end - start) == pytest.approx(SECONDS / 4, abs=0.1)
        assert of_player(browser, "player.now") == pytest.approx(SECONDS / 2, abs=0.1)
