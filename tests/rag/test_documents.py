"""Reading takes documents, skips other files with a reason, and reads front matter in both its forms."""

import os
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Literal

import pytest

from rag.errors import SourceUnreadable
from rag.reading import frontmatter
from rag.reading.documents import MAX_BYTES, read_corpus

AWS_KEY = "AKIA" + "Q3EGSYNOPQR7TUVW"


def reasons(folder: Path) -> dict[str, str]:
    (folder / "good.md").write_text("# Good\n\nText.\n")
    return {skipped.path: skipped.reason for skipped in read_corpus(folder).skipped}


def test_front_matter_becomes_fields_and_blank_lines(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\ntitle: Ports\nquestions:\n  - which port\n---\n\n# Ports\n\nText.\n")
    document = read_corpus(tmp_path).documents[0]
    assert (document.title, document.questions) == ("Ports", {"": ("which port",)})
    assert document.text.splitlines().index("# Ports") == 6


def test_front_matter_damaged_by_mdformat_is_removed_and_its_title_kept() -> None:
    text = (
        "_____\n\n## layout: default title: ADR-0026 RHEL 10 parent: Decisions nav_order: 26\n\n# ADR-0026\n\nText.\n"
    )
    fields, rest = frontmatter.split(text)
    assert fields["title"] == "ADR-0026 RHEL 10"
    assert "layout" not in rest
    assert rest.splitlines()[4] == "# ADR-0026"


@pytest.mark.parametrize(
    ("heading", "fields"),
    [
        ("## layout: ", {"layout": ""}),
        ("## layout: title: Home nav_order:", {"layout": "", "title": "Home", "nav_order": ""}),
    ],
)
def test_a_damaged_front_matter_may_leave_a_field_empty(heading: str, fields: dict[str, str]) -> None:
    found, rest = frontmatter.split(f"***\n\n{heading}\n\nText.\n")
    assert (found, rest.strip()) == (fields, "Text.")


def test_a_rule_at_the_top_is_not_front_matter() -> None:
    text = "---\n\nSome text, no mapping.\n\n---\n\nMore.\n"
    assert frontmatter.split(text) == ({}, text)


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Governance: the manifest", "Governance: the manifest"),
        ("L2 Core (Split: Core)", "L2 Core (Split: Core)"),
        ('"Run" the app', '"Run" the app'),
        ("@home and `code`", "@home and `code`"),
        ("\tTabbed", "Tabbed"),
        ("'It''s quoted: well'", "It's quoted: well"),
    ],
)
def test_a_title_that_is_no_yaml_counts_as_it_is_written(tmp_path: Path, written: str, title: str) -> None:
    text = (
        f"---\nquestions:\n  - which port\n# a note\ntitle: {written}\nnote: 'never closed\n---\n\n# Other\n\nText.\n"
    )
    (tmp_path / "a.md").write_text(text)
    document = read_corpus(tmp_path).documents[0]
    assert (document.title, document.questions) == (title, {"": ("which port",)})
    assert document.text == "\n" * 8 + "# Other\n\nText.\n"


def test_a_list_that_is_no_yaml_counts_as_it_is_written() -> None:
    fields, rest = frontmatter.split("---\ntitle: Ports\nquestions:\n- which port\n- 'what: is: this\n---\nText.\n")
    assert fields == {"title": "Ports", "questions": ["which port", "'what: is: this"]}
    assert rest.strip() == "Text."


@pytest.mark.parametrize(
    "prose", ["Note: this is: prose.\n\nIt goes on.", "\nNote: this is: prose.\n", "Note: this: is\nprose."]
)
def test_prose_between_two_rules_stays_however_many_colons_it_has(prose: str) -> None:
    text = f"---\n{prose}\n---\n\nMore.\n"
    assert frontmatter.split(text) == ({}, text)


def test_a_title_comes_from_the_first_heading_or_the_name(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# **Bold** title\n\nText.\n")
    (tmp_path / "clean-install.md").write_text("Text only.\n")
    assert [document.title for document in read_corpus(tmp_path).documents] == ["Bold title", "Clean install"]


def test_a_binary_file_is_skipped_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"text\0more")
    assert reasons(tmp_path) == {"a.md": "binary"}


@pytest.mark.parametrize("name", [b"odd\xff.md", b"line\nend.md"])
def test_a_file_with_an_odd_name_is_named_and_skipped(tmp_path: Path, name: bytes) -> None:
    (tmp_path / os.fsdecode(name)).write_text("# Odd\n")
    assert list(reasons(tmp_path)) == [ascii(os.fsdecode(name))]


def test_a_file_in_another_encoding_is_skipped_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Title\n", "utf-16")
    assert reasons(tmp_path) == {"a.md": "UTF-16; save it as UTF-8"}


def test_line_ends_of_any_system_count_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"# Title\r\n\r\nText.\rMore \xe2\x80\xa8 text.\r\n")
    assert read_corpus(tmp_path).documents[0].text.split("\n") == ["# Title", "", "Text.", "More \u2028 text.", ""]


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Door keeper\n===========\n\n```bash\n# install it\nmake\n```\n", "Door keeper"),
        ("<!--\n# Draft title\n-->\n\n# Real title\n", "Real title"),
        ("    # code\n\n# After code\n", "After code"),
        ("1. ```bash\n   # comment\n   ```\n\n# Last\n", "Last"),
    ],
    ids=["underlined", "commented out", "indented code", "fence in a list"],
)
def test_commonmark_decides_what_a_title_is(tmp_path: Path, text: str, title: str) -> None:
    (tmp_path / "a.md").write_text(text)
    assert read_corpus(tmp_path).documents[0].title == title


def test_a_huge_file_is_skipped_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * (MAX_BYTES + 1))
    assert reasons(tmp_path) == {"a.txt": "larger than 512 KiB"}


def test_a_file_that_is_not_utf8_is_skipped_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes("caf\xe9".encode("latin-1"))
    assert reasons(tmp_path) == {"a.md": "not UTF-8 (byte 3)"}


def test_a_file_that_holds_a_secret_is_skipped_and_the_secret_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(f"# Keys\n\naws_access_key_id = {AWS_KEY}\n")
    reason = reasons(tmp_path)["a.md"]
    assert reason == "may hold a secret: AWS Access Key in line 3"
    assert AWS_KEY not in reason


def test_other_kinds_of_file_are_skipped_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("print(1)")
    assert reasons(tmp_path) == {"a.js": "kind of file not indexed (.js)"}


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    outside.write_text("# Outside\n")
    inside = tmp_path / "corpus"
    inside.mkdir()
    (inside / "link.md").symlink_to(outside)
    assert set(reasons(inside)) == {"link.md"}
    assert [document.path for document in read_corpus(inside).documents] == ["good.md"]


def test_a_tar_archive_reads_like_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    (folder / "docs").mkdir(parents=True)
    (folder / "docs" / "a.markdown").write_text("# A\n\nText.\n")
    with tarfile.open(tmp_path / "corpus.tar.gz", "w:gz") as tar:
        tar.add(folder, "corpus")
    documents = read_corpus(tmp_path / "corpus.tar.gz").documents
    assert [document.path for document in documents] == ["docs/a.markdown"]


def test_a_tar_member_that_leaves_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evil.md").write_text("# Evil\n")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(tmp_path / "evil.md", "../evil.md")
    with pytest.raises(SourceUnreadable, match="no readable tar archive"):
        read_corpus(tmp_path / "evil.tar")


def test_a_git_repository_is_cloned_and_its_commit_kept(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    (origin / "a.md").write_text("# A\n\nText.\n")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "a"]):
        subprocess.run(["git", "-C", str(origin), *command], check=True)
    corpus = read_corpus(origin.as_uri())
    assert [document.path for document in corpus.documents] == ["a.md"]
    assert len(corpus.commit) == 40
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", corpus.date)


def test_an_archive_of_a_commit_keeps_its_hash_and_its_day(tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    origin.mkdir()
    (origin / "a.md").write_text("# A\n")
    git = ["git", "-C", str(origin), "-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    when = {"GIT_COMMITTER_DATE": "2026-02-24T09:14:12Z"}
    subprocess.run([*git, "commit", "-qm", "a"], check=True, env=os.environ | when)
    packed = ["archive", "--prefix=name-1/", "-o", str(tmp_path / "a.tar.gz"), "HEAD"]
    subprocess.run([*git, *packed], check=True)
    corpus = read_corpus(tmp_path / "a.tar.gz")
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert ([document.path for document in corpus.documents], corpus.commit, corpus.date) == (
        ["a.md"],
        head,
        "2026-02-24",
    )


def test_an_address_that_cannot_be_fetched_is_named_with_what_to_do() -> None:
    with pytest.raises(SourceUnreadable, match=r"127\.0\.0\.1.*give the file"):
        read_corpus("https://127.0.0.1:9/archive.tar.gz")


@pytest.mark.parametrize("source", ["missing", "file.md", "empty"])
def test_an_unreadable_source_is_named_with_what_to_give_instead(tmp_path: Path, source: str) -> None:
    (tmp_path / "file.md").write_text("# no archive\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceUnreadable, match=source):
        read_corpus(tmp_path / source)


def test_nothing_that_an_archive_holds_is_run(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "a.md").write_text("# A\n")
    subprocess.run(["git", "-C", str(repository), "init", "-q"], check=True)
    with (repository / ".git" / "config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = touch {tmp_path / 'ran'}\n[log]\n\tshowSignature = true\n")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(repository, "repository")
    assert read_corpus(tmp_path / "a.tar").commit == ""
    read_corpus(repository)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["w:gz", "w:xz"])
def test_a_download_that_was_cut_is_named(tmp_path: Path, kind: Literal["w:gz", "w:xz"]) -> None:
    (tmp_path / "a.md").write_bytes(b"# A\n" + os.urandom(9_000).hex().encode())
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, kind) as tar:
        tar.add(tmp_path / "a.md", "a.md")
    archive.write_bytes(archive.read_bytes()[:3_000])
    with pytest.raises(SourceUnreadable, match="no readable tar archive"):
        read_corpus(archive)


def test_an_archive_with_a_pipe_and_a_link_gives_its_pages(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "a.md").write_text("# A\n")
    (tmp_path / "link.md").symlink_to("/etc/passwd")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("pipe.md", "link.md", "a.md"):
            tar.add(tmp_path / name, f"top/{name}")
    assert [document.path for document in read_corpus(tmp_path / "a.tar").documents] == ["a.md"]


def test_links_are_named_and_skipped_whatever_they_lead_to(tmp_path: Path) -> None:
    corpus, beside = tmp_path / "corpus", tmp_path / "beside"
    corpus.mkdir()
    beside.mkdir()
    (beside / "page.md").write_text("# Beside\n\nText.\n")
    for name, target in (
        ("page.md", beside / "page.md"), ("folder", beside), ("nowhere.md", beside / "gone.md"),
        ("loop.md", corpus / "loop.md"), ("twice.md", Path("good.md")),
    ):  # fmt: skip
        (corpus / name).symlink_to(target)
    told = reasons(corpus)
    assert sorted(told) == ["folder", "loop.md", "nowhere.md", "page.md", "twice.md"]
    assert all("a link; give the file or folder that it leads to" in reason for reason in told.values())


def test_folders_that_nest_without_end_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    """A thousand levels and more: too deep for a walk that calls itself, and for removing them so."""
    folder = tmp_path
    for _ in range(150):
        folder = folder / "d"
        folder.mkdir()
    (folder / "deep.md").write_text("# Deep\n")
    told = reasons(tmp_path)
    assert list(told.values()) == ["folders nest deeper than 100 levels"]


@pytest.mark.parametrize("levels", [1_200, 1_900, 5_000])
def test_an_archive_that_nests_without_end_gives_its_other_pages(tmp_path: Path, levels: int) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n\nText.\n")
    archive = tmp_path / "deep.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(page, "page.md")
        tar.add(page, "d/" * levels + "deep.md")
    corpus = read_corpus(archive)
    assert [document.title for document in corpus.documents] == ["Page"]
    assert [skipped.reason for skipped in corpus.skipped] == ["folders nest deeper than 100 levels"]
    assert len(corpus.skipped[0].path) <= 300


def test_what_is_left_in_an_archive_is_named(tmp_path: Path) -> None:
    archive, page = tmp_path / "links.tar", tmp_path / "page.md"
    page.write_text("# Page\n\nText.\n")
    with tarfile.open(archive, "w") as tar:
        tar.add(page, "page.md")
        for name, kind, target in (("out.md", tarfile.SYMTYPE, "../../etc/passwd"), ("pipe.md", tarfile.FIFOTYPE, "")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    told = {skipped.path: skipped.reason for skipped in read_corpus(archive).skipped}
    assert told == dict.fromkeys(("out.md", "pipe.md"), "a device or a link out of the archive")
