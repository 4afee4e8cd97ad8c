"""The report: one file, nothing from outside, nothing unescaped, and the clips in it are the clips."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from magvit_jax.media.animation import read_animation
from magvit_jax.media.curves import Series, line_chart
from magvit_jax.media.report import Report
from magvit_jax.media.tables import Result

EVIL = "<script>alert(1)</script> & \"quoted\" 'too'"


class Page(HTMLParser):
    """Checks that tags nest, and keeps tags, images and the text."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.images, self.text = [], [], [], ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def pixels(self, index):
        kind, data = self.images[index]["src"].removeprefix("data:image/").split(";base64,")
        assert kind in ("webp", "png")
        return read_animation(base64.b64decode(data))


def clip(seed, frames=5, height=8, width=10):
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def full_report():
    report = Report(EVIL, EVIL, EVIL).heading(EVIL).paragraph(EVIL).heading(EVIL, level=3)
    report.tiles([(EVIL, EVIL)]).key_values({EVIL: EVIL})
    report.results(
        [Result(EVIL, 1.0, 0.5, 2.0, 0.9, unit="<dB>", baseline_name=EVIL, ceiling_name=EVIL)], EVIL
    )
    report.table([EVIL, "n"], [[EVIL, 1], [None, 2]], EVIL)
    report.charts([line_chart([Series(EVIL, [0, 1], [1, 2])], EVIL, EVIL, EVIL, levels={EVIL: 1.5})], EVIL)
    report.clip_rows({EVIL: [clip(0)], "b": [clip(1)]}, [EVIL], given={"b": 2}, caption=EVIL)
    report.clip_gallery([clip(2)], [EVIL], caption=EVIL).filmstrips({EVIL: clip(3)}, given=2, caption=EVIL)
    return report.image(clip(4)[0], caption=EVIL).commands([(EVIL, EVIL)])


def test_nothing_from_outside_and_nothing_unescaped(tmp_path):
    path = full_report().write(tmp_path / "out" / "report.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert "<script" not in text
    assert page.text.count("<script>alert(1)</script>") >= 20
    assert not {"script", "iframe", "object", "video"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes[name][:40])
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text)
    assert list(path.parent.iterdir()) == [path]


def test_every_text_once_in_its_place():
    page = full_report().html()
    assert (
        page.index("<h1>")
        < page.index("<h2")
        < page.index("<dl>")
        < page.index("<table")
        < page.index("<svg")
    )
    assert "prefers-color-scheme: dark" in page and '<meta charset="utf-8">' in page


def test_clip_rows_hold_the_clips_in_step():
    columns = {"real": [clip(0), clip(1)], "made": [clip(2), clip(3, frames=3)]}
    page = Page(Report("r").clip_rows(columns, ["one", "two"], fps=8, scale=4).html())
    first, second = page.pixels(0), page.pixels(1)
    assert first.shape == (5, 8, 10 + 2 + 10, 3)
    assert np.array_equal(first[:, :, :10], clip(0)) and np.array_equal(first[:, :, 12:], clip(2))
    assert np.array_equal(second[:, :, 12:], clip(3, frames=3)[[0, 1, 2, 2, 2]])
    assert (page.images[0]["width"], page.images[0]["height"]) == (str(22 * 4), str(8 * 4))
    assert page.images[1]["alt"] == "two: real, made"
    heads = [attributes["style"] for tag, attributes in page.tags if tag == "span"]
    assert heads == ["width:40px;margin-right:8px"] * 2  # as wide as the clips under them


def test_given_frames_have_a_bar_while_they_last():
    page = Page(Report("r").clip_rows({"a": [clip(0)], "b": [clip(1)]}, scale=8, given={"b": 2}).html())
    video = page.pixels(0)
    assert video.shape == (5, 8 + 2, 10 + 1 + 10, 3)
    bar = (video[:, 9] != 255).any(-1)  # read on white: clear pixels are white
    assert bar[:2, 11:].all() and not bar[2:].any() and not bar[:, :11].any()


def test_clip_rows_want_as_many_clips_in_each_column():
    with pytest.raises(ValueError, match="equally many"):
        Report("r").clip_rows({"a": [clip(0)], "b": []})
    with pytest.raises(ValueError, match="equally many"):
        Report("r").clip_rows({"a": [clip(0)]}, ["x", "y"])
    with pytest.raises(ValueError, match="2 labels"):
        Report("r").clip_gallery([clip(0), clip(1)], ["x"])


def test_gallery_and_filmstrip_pixels():
    page = Page(Report("r").clip_gallery([clip(0), clip(1)]).filmstrips({"s": clip(2)}, frames=3).html())
    assert np.array_equal(page.pixels(0), clip(0)) and np.array_equal(page.pixels(1), clip(1))
    strip = page.pixels(2)[0]
    assert strip.shape == (10, 1 + 3 * 11, 3)
    assert np.array_equal(strip[1:9, 12:22], clip(2)[2])


def test_large_clips_are_embedded_smaller():
    steps = np.linspace(0, 255, 320).astype(np.uint8)
    video = (
        np.random.default_rng(0).integers(0, 8, (6, 240, 320, 3), dtype=np.uint8) // 2
        + steps[None, None, :, None] // 2
    )
    page = Report("r").clip_gallery([video]).html()
    assert len(page) < video.size / 8
    assert np.abs(Page(page).pixels(0).astype(int) - video).mean() < 6


def test_results_show_what_was_met():
    rows = [
        Result("good", 2.0, target=1.0),
        Result("bad", 0.5, 0.25, target=1.0, baseline_name="chance"),
        Result("x", 1),
    ]
    page = Report("r").results(rows).html()
    cells = [re.sub("<[^>]*>", "|", row) for row in re.findall("<tr>(.*?)</tr>", page)]
    assert [re.sub(r"\|+", "|", cell) for cell in cells] == [
        "|measure|ours|baseline|target|met?|",
        "|good|2.00|≥ 1.00|✓ yes|",
        "|bad|0.50|0.25|chance|≥ 1.00|✗ no|",
        "|x|1.00|",
    ]


def test_contents_list_the_sections():
    report = Report("r").heading("one").heading("two").heading("inner", level=3)
    assert "<nav>" not in report.html()
    page = Page(report.heading("three").html())
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    anchors = [attributes["id"] for tag, attributes in page.tags if tag == "h2"]
    assert links == [f"#{anchor}" for anchor in anchors] and len(set(links)) == 3


def test_backticks_are_code():
    assert "<p>see <code>a&lt;b</code> and `alone</p>" in Report("r").paragraph("see `a<b` and `alone").html()
