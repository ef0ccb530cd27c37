"""What counts as an image of a folder."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from lookalike.scan import scan
from lookalike.store import Writer


def picture(path: Path, format: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "teal").save(path, format)


def names(folder: Path, *exclude: str) -> list[str]:
    return [os.path.relpath(file.path, folder) for file in scan(str(folder), exclude).images]


def test_suffix_or_magic_makes_an_image_and_anything_else_is_counted(tmp_path: Path) -> None:
    picture(tmp_path / "a.PNG")
    picture(tmp_path / "b" / "no suffix")
    (tmp_path / "broken.jpg").write_text("not one, but its name says so")
    (tmp_path / "drawing.svg").write_text("<svg/>")
    (tmp_path / "notes.txt").write_text("words")
    (tmp_path / "empty").touch()
    assert names(tmp_path) == ["a.PNG", os.path.join("b", "no suffix"), "broken.jpg", "drawing.svg"]
    assert scan(str(tmp_path)).ignored == 2


def test_globs_exclude_names_paths_and_whole_folders(tmp_path: Path) -> None:
    for name in ("a.png", "b.gif", "old/c.png", "keep/old.png"):
        picture(tmp_path / name)
    assert names(tmp_path, "*.gif", "old") == ["a.png", "keep/old.png"]
    assert names(tmp_path, "keep/*") == ["a.png", "b.gif", "old/c.png"]


def test_links_to_files_are_followed_links_to_folders_are_not(tmp_path: Path) -> None:
    picture(tmp_path / "real" / "a.png")
    (tmp_path / "real" / "round").symlink_to(tmp_path)
    (tmp_path / "link.png").symlink_to(tmp_path / "real" / "a.png")
    (tmp_path / "dangling.png").symlink_to("nowhere")
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "dangling").symlink_to("nowhere")
    found = scan(str(tmp_path))
    assert names(tmp_path) == ["link.png", "real/a.png"]
    assert {os.path.basename(file.path) for file in found.unreadable} == {"dangling.png", "loop.png"}
    assert all(file.reason for file in found.unreadable)


def test_pipes_and_folders_with_image_names_are_told_and_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    picture(tmp_path / "folder.jpg" / "a.png")
    found = scan(str(tmp_path))
    assert names(tmp_path) == ["folder.jpg/a.png"]
    assert {os.path.basename(file.path) for file in found.unreadable} == {"pipe.jpg", "folder.jpg"}
    assert found.ignored == 1


def test_collections_are_passed_over_and_images_beside_them_are_not(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    for name in (".lookalike", "elsewhere"):
        with Writer.session(tmp_path / name):
            pass
        picture(tmp_path / name / "b.png")
    assert names(tmp_path) == ["a.png", "elsewhere/b.png"]
    assert scan(str(tmp_path)).ignored == 0


def test_hidden_and_odd_names_are_images_like_any_other(tmp_path: Path) -> None:
    odd = {
        "..double.png",
        " leading.png",
        "-dash.png",
        "new\nline.png",
        "qu'o\"te.png",
        "ü 🏳️‍🌈.png",
        "no utf8 \udcff.png",
    }
    for name in odd:
        picture(tmp_path / "x.png")
        os.rename(tmp_path / "x.png", os.fsencode(tmp_path / name))
    assert set(names(tmp_path)) == odd
