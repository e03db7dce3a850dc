"""The page of a song, as a file and in a browser: it plays, soloes and seeks without complaint."""

import base64
import io
import json
import re

import matplotlib.image
import numpy as np
import pytest

from cerberus_jax.notes import Notes
from data_pipeline.instruments import INSTRUMENTS
from data_pipeline.io.audio import read_audio
from data_pipeline.io.audio_stream import AudioInfo, AudioWriter, quantise
from data_pipeline.io.midi import Part
from experiments import pages
from experiments.songs import sound
from experiments.songs.page import WITHOUT_SOUND, SongPage
from tests.browser import chromium, console_errors
from tests.waiting import wait_for

RATE, SECONDS = 22050, 12
NAMES = ("piano", "drums", "other")


def write_page(folder, *, title="A <song> & more", seconds=SECONDS):
    info = AudioInfo(RATE, 2, seconds * RATE)
    time = np.arange(info.num_samples) / RATE
    hertz = {"piano": 440, "drums": 110, "other": 2000}
    stems = {
        name: np.tile(0.2 * np.sin(2 * np.pi * hz * time), (2, 1)).astype(np.float32)
        for name, hz in hertz.items()
    }
    files = {name: f"{name}.wav" for name in NAMES}
    for name, samples in stems.items():
        path = folder / files[name]
        with AudioWriter(path, sample_rate_hz=RATE, num_channels=2) as writer:
            writer.write(quantise(samples, "PCM_16"))
    onsets = np.arange(0, seconds - 1, 0.5)
    notes = Notes(
        np.stack([onsets, onsets + 0.4], 1),
        60 + np.arange(len(onsets)) % 12,
        np.full(len(onsets), 90),
    )
    parts = [Part("piano", 0, False, notes), Part("drums", 0, True, notes.transposed(-24))]
    with SongPage(folder, info, files) as page:
        page.add(sum(stems.values()), stems)
    page.finish(title, parts, reference={"piano": notes.transposed(1)})
    return folder / "index.html"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("a song"))


def test_the_file_needs_nothing_from_elsewhere(page):
    text = page.read_text()
    assert "A &lt;song&gt; &amp; more" in text
    assert not re.search(r"https?:|\bimport\b|fetch\(", text)
    data = json.loads(re.search(r'class="listening">(.*?)</script>', text, re.DOTALL)[1])
    sounds = [sound["src"] for row in data["rows"] for sound in row["sets"].values()]
    assert len(sounds) == 6 and all((page.parent / sound).is_file() for sound in sounds)
    assert [row["file"]["href"] for row in data["rows"][1:]] == [f"{name}.wav" for name in NAMES]
    assert data["frequencies"] == [40, RATE / 2]
    mixture, piano, drums, other = data["rows"]
    assert mixture["name"] is None and mixture["picture"] != piano["picture"]
    assert len(piano["notes"]) == len(piano["reference"]) == 22
    assert drums["isDrum"] and "reference" not in drums
    assert "notes" not in other and "notes" not in other["sets"] and other["colours"] is None
    synth, rate = read_audio(page.parent / piano["sets"]["notes"]["src"])
    assert synth.shape[1] == SECONDS * rate and np.abs(synth).max() > 0.01


def test_without_the_synthesiser_the_page_shows_notes_and_says_that_they_are_silent(
    page, tmp_path, monkeypatch
):
    monkeypatch.setattr(sound, "PACKAGES", ("no_such_synthesiser",))
    text = write_page(tmp_path, seconds=2).read_text()
    assert WITHOUT_SOUND in text and WITHOUT_SOUND not in page.read_text()
    data = json.loads(re.search(r'class="listening">(.*?)</script>', text, re.DOTALL)[1])
    assert data["rows"][1]["notes"] and not any("notes" in row["sets"] for row in data["rows"])
    assert [file.name for file in (tmp_path / "page").iterdir()] == ["mixture.flac"]


def test_the_copy_of_a_song_is_a_wav_where_flac_does_not_go_up_to_its_rate(tmp_path):
    info = AudioInfo(768_000, 2, 4000)
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 4000)).astype(np.float32)
    with SongPage(tmp_path, info, {}) as page:
        page.add(samples, {})
    page.finish("fast", [])
    assert [file.name for file in (tmp_path / "page").iterdir()] == ["mixture.wav"]
    np.testing.assert_allclose(read_audio(tmp_path / page.mixture)[0], samples, atol=2**-15)
    assert "page/mixture.wav" in (tmp_path / "index.html").read_text()


def test_text_cannot_end_the_script():
    for title in ("</script><b>", "<!--<script>"):
        text = pages.json_for_html({"title": title})
        assert "<" not in text
        assert json.loads(text) == {"title": title}


def test_templates_are_filled_completely():
    with pytest.raises(ValueError, match=r"song.html: values for .* expected, got title"):
        pages.fill("song.html", {"title": "x"})


@pytest.fixture(scope="module")
def browser(page):
    with chromium() as found:
        found.get(page.as_uri())
        wait_for(lambda: found.execute_script("return listenings[0].player.leader.readyState") == 4)
        yield found
        assert not console_errors(found)


@pytest.mark.parametrize("dark", [False, True])
def test_rows_have_the_colours_of_their_instruments(page, dark):
    with chromium(dark=dark) as browser:
        browser.get(page.as_uri())
        is_dark = browser.execute_script(
            "return matchMedia('(prefers-color-scheme: dark)').matches"
        )
        assert is_dark == dark
        names, colours = browser.execute_script(
            "const { rows } = listenings[0];"
            "return [rows.map((row) => row.name),"
            " rows.map((row) => colour(row.element, '--colour'))]"
        )
    by_name = dict(zip(names, colours, strict=True))
    for name in ("piano", "drums"):
        expected = INSTRUMENTS[name].colours[dark].removeprefix("#")
        assert by_name[name] == f"rgb({', '.join(map(str, bytes.fromhex(expected)))})"
    assert len(set(colours)) == 4


def state(browser):
    """What can be heard, and where the playheads stand."""
    return browser.execute_script(
        """
        const { player, rows, view } = listenings[0];
        const all = Object.entries(player.sets);
        const heard = (audio) => !audio.paused && !audio.muted;
        return {
          playing: player.playing, now: player.now, listen: player.listen,
          heard: all.flatMap(([set, a]) => a.filter(heard).map((a) => `${set}:${a.dataset.name}`)),
          times: player.active.map((a) => a.currentTime),
          heads: rows.map((row) => row.playhead).map(
            (head) => [Number(head.dataset.seconds), head.style.transform]
          ),
          view: [view.start, view.end], message: listenings[0].find("message").textContent,
        }"""
    )


def press(browser, *keys):
    from selenium.webdriver.common.action_chains import ActionChains

    for key in keys:
        ActionChains(browser).send_keys(key).perform()


def stop(browser):
    browser.execute_script(
        "const l = listenings[0], { player, view } = l;"
        "player.pause(); player.soloed.clear(); player.muted.clear(); l.choose('song');"
        "player.seek(0); view.look(0, view.seconds); l.repeat(null); l.ends = [null, null];"
        "document.activeElement.blur(); l.chosen = null"
    )


def test_it_plays_and_pauses(browser):
    stop(browser)
    browser.find_element("css selector", ".play").click()
    wait_for(lambda: state(browser)["now"] > 0.4)
    found = state(browser)
    assert found["playing"] and found["heard"] == ["song:"] and not found["message"]
    assert all(head[0] > 0 for head in found["heads"])
    press(browser, " ")
    wait_for(lambda: not state(browser)["playing"])
    assert not state(browser)["heard"]


def test_solo_and_mute(browser):
    stop(browser)
    press(browser, " ", "2")
    stems = {"stems:piano", "stems:drums", "stems:other"}
    wait_for(lambda: set(state(browser)["heard"]) == stems)
    browser.find_element("css selector", "[aria-label='Solo drums']").click()
    wait_for(lambda: state(browser)["heard"] == ["stems:drums"])
    browser.find_element("css selector", "[aria-label='Solo drums']").click()
    press(browser, "m")  # the row whose button has the focus
    wait_for(lambda: set(state(browser)["heard"]) == stems - {"stems:drums"})
    press(browser, "3")
    wait_for(lambda: state(browser)["heard"] == ["notes:piano"])


def test_the_slider_follows_the_keys_while_it_has_the_focus(browser):
    from selenium.webdriver.common.keys import Keys

    browser.execute_script("listenings[0].player.pause(); listenings[0].player.seek(0)")
    slider = browser.find_element("css selector", ".seek")
    slider.send_keys(Keys.ARROW_RIGHT)
    assert float(slider.get_property("value")) == pytest.approx(5, abs=0.05)
    slider.send_keys(Keys.HOME)
    assert float(slider.get_property("value")) == pytest.approx(0, abs=0.05)


def test_seeking_moves_everything(browser):
    stop(browser)
    press(browser, "2")
    browser.execute_script("listenings[0].player.seek(7.5); listenings[0].show()")
    wait_for(lambda: np.ptp([*state(browser)["times"], 7.5]) < 0.02)
    found = state(browser)
    assert all(head == found["heads"][0] for head in found["heads"])
    assert found["heads"][0][0] == pytest.approx(7.5, abs=0.01)
    press(browser, "\ue012")  # the left arrow
    wait_for(lambda: state(browser)["now"] == pytest.approx(2.5, abs=0.02))
    lanes = browser.find_elements("css selector", ".lanes")
    lanes[2].click()  # its middle
    wait_for(lambda: state(browser)["now"] == pytest.approx(6, abs=0.1))
    press(browser, "\ue010")  # end
    wait_for(lambda: state(browser)["now"] == pytest.approx(SECONDS))


def test_stems_stay_together(browser):
    stop(browser)
    press(browser, "2", " ")
    wait_for(lambda: state(browser)["now"] > 2)
    spread = wait_for(lambda: (found := np.ptp(state(browser)["times"])) < 0.03 and (found, "s"))
    assert spread[0] < 0.03


def test_zoom_and_keyboard_rows(browser):
    stop(browser)
    browser.execute_script("listenings[0].player.seek(6)")
    press(browser, "+", "+")
    assert np.diff(state(browser)["view"]) == pytest.approx(SECONDS / 4)
    press(browser, "0")
    assert state(browser)["view"] == [0, SECONDS]
    press(browser, "\ue015", "\ue015", "s")  # down, down, solo: the first instrument
    assert browser.execute_script("return [...listenings[0].player.soloed]") == ["piano"]


def test_the_canvases_show_notes_and_sound(browser):
    stop(browser)
    colours = browser.execute_script(
        """return listenings[0].rows.flatMap((row) => row.canvases.map(({canvas}) => {
          const { width, height } = canvas;
          const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
          return new Set(new Uint32Array(pixels.buffer)).size;
        }))"""
    )
    assert len(colours) == 7 and min(colours) > 8


def test_the_ruler_counts_in_round_steps(browser):
    stop(browser)
    found = browser.execute_script(
        "return listenings[0].view.ticks(600).map((tick) => [tick.x, tick.text])"
    )
    assert found == [[100 * k, f"0:{2 * k:02d}"] for k in range(7)]
    browser.execute_script("listenings[0].view.look(5.9, 0.5)")
    found = browser.execute_script("return listenings[0].view.ticks(350).map((tick) => tick.text)")
    assert found == ["0:05.9", "0:06.0", "0:06.1", "0:06.2", "0:06.3", "0:06.4"]


def test_a_missing_file_is_told(tmp_path):
    page = write_page(tmp_path, seconds=2)
    (tmp_path / "drums.wav").unlink()
    with chromium() as browser:
        browser.get(page.as_uri())
        wait_for(lambda: "drums.wav" in browser.find_element("css selector", ".message").text)


def test_silence_is_black(tmp_path):
    silence = np.zeros((1, RATE), np.float32)
    with SongPage(tmp_path, AudioInfo(RATE, 1, RATE), {"piano": "piano.wav"}) as page:
        page.add(silence, {"piano": silence})
    page.finish("silence", [Part("piano", 0, False, Notes.empty())])
    text = (tmp_path / "index.html").read_text()
    data = json.loads(re.search(r'class="listening">(.*?)</script>', text, re.DOTALL)[1])
    image = base64.b64decode(data["rows"][0]["picture"].partition(",")[2])
    assert matplotlib.image.imread(io.BytesIO(image))[..., :3].max() < 0.05
