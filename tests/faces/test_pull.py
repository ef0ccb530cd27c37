"""`lookalike models pull` against a hub of our own on this machine: the real client, the real bytes."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lookalike.errors import ModelUnavailable, StorageError, UsageError
from lookalike.models import transfer, weights
from lookalike.models.download import Pulled, pull
from lookalike.types import InputSpec, ModelCard
from tests.conftest import Result, run_command

pytest.importorskip("huggingface_hub")

BIG = bytes(range(256)) * 8000  # two megabytes: more than one chunk
FILES = {
    "README.md": b"# Tiny",
    "config.json": b'{"model_type": "vit"}',
    "preprocessor_config.json": b'{"size": 224}',
    "tokenizer.json": b"{}",
    "model.safetensors": BIG,
    "pytorch_model.bin": b"the same, pickled",
    "tf_model.h5": b"the same, for TensorFlow",
    "flax_model.msgpack": b"the same, for Flax",
    "onnx/model.onnx": b"the same, for ONNX",
    ".gitattributes": b"*.safetensors filter=lfs",
}
PULLED = {"config.json", "preprocessor_config.json", "model.safetensors"}
CARD = ModelCard(
    name="tiny",
    kind="network",
    dim=8,
    input=InputSpec((224, 224)),
    summary="",
    source="",
    revision="1",
    license="CC-BY-NC-4.0",
    loader="lookalike.models.backbones.hashes:load",
    weights="hf:acme/tiny",
)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Hub:
    """What the server holds and how it misbehaves. A commit's name is made from its files."""

    url: str = ""
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    main: str = ""
    plain: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    status: int = 0
    gated: bool = False
    portal: bool = False
    damaged: bool = False
    cut_after: int | None = None
    ranges: bool = True

    def commit(self, files: dict[str, bytes]) -> str:
        self.main = hashlib.sha1(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest()
        self.commits[self.main] = files
        return self.main

    def asked_for(self) -> list[str]:
        return [path.rpartition("/")[2] for _, path, _ in self.requests if "/resolve/" in path or "/files/" in path]

    def listing(self, commit: str) -> dict[str, object]:
        siblings = []
        for name, data in self.commits[commit].items():
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            row: dict[str, object] = {"rfilename": name, "size": len(data), "blobId": blob}
            if name.endswith((".safetensors", ".bin", ".h5", ".msgpack", ".onnx")):
                row |= {"blobId": "0" * 40, "lfs": {"sha256": sha256(data), "size": len(data), "pointerSize": 130}}
            siblings.append(row)
        return {
            "id": "acme/tiny",
            "sha": commit,
            "gated": "auto" if self.gated else False,
            "private": False,
            "tags": [],
            "siblings": siblings,
            "cardData": {"license": "cc-by-nc-4.0"},
        }


class Handler(BaseHTTPRequestHandler):
    """The endpoints of the Hugging Face hub that a pull calls; large files are redirected to another host."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        path = urlsplit(self.path).path
        hub.requests.append(("GET", path, {name.lower(): value for name, value in self.headers.items()}))
        if hub.status:
            return self.answer(hub.status, b'{"error": "so it is"}')
        if hub.portal:
            return self.answer(200, b"<!DOCTYPE html><html>Welcome to our hotel</html>", "text/html")
        if path.startswith("/api/models/"):
            name, _, revision = path.removeprefix("/api/models/").partition("/revision/")
            commit = hub.main if revision in ("", "main") else revision
            if name != "acme/tiny":
                return self.answer(404, b'{"error": "Repository not found"}', code="RepoNotFound")
            if commit not in hub.commits:
                return self.answer(404, b'{"error": "Invalid rev id"}', code="RevisionNotFound")
            return self.answer(200, json.dumps(hub.listing(commit)).encode(), "application/json")
        if path.startswith("/acme/tiny/resolve/"):
            _, _, _, _, commit, name = path.split("/", 5)
            if hub.gated and "authorization" not in hub.requests[-1][2]:
                return self.answer(401, b'{"error": "Access to model acme/tiny is restricted"}', code="GatedRepo")
            data = hub.commits[commit][name]
            if len(data) < 1000:
                return self.answer(200, data)
            store = hub.url.replace("127.0.0.1", "localhost")
            hub.plain[sha256(data)] = data
            return self.answer(302, b"", location=f"{store}/files/{sha256(data)}")
        data = hub.plain.get(path.rpartition("/")[2])
        return self.answer(404, b"") if data is None else self.send_file(hub, data)

    def send_file(self, hub: Hub, data: bytes) -> None:
        start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if hub.ranges else 0
        if hub.damaged:
            data = data[:1000] + b"!" + data[1001:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if hub.cut_after is None:
            self.wfile.write(data[start:])
        else:
            self.wfile.write(data[start : start + hub.cut_after])
            self.close_connection = True

    def answer(self, status: int, body: bytes, kind: str = "text/plain", *, code: str = "", location: str = "") -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("X-Error-Code", code), ("Location", location)):
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub = Hub(url=f"http://127.0.0.1:{server.server_port}")
    hub.commit(dict(FILES))
    server.hub = hub  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield hub
    server.shutdown()
    server.server_close()
    from huggingface_hub import close_session

    close_session()


def pull_by_command(*arguments: str, first: str = "", **environment: str) -> Result:
    """The command in a process of its own, where `first` is run before."""
    script = f"{first}\nfrom lookalike.cli import main; main()"
    return run_command(sys.executable, "-c", ATTACH + script, "models", "pull", *arguments, **environment)


ATTACH = "from lookalike.cli.models import command; from lookalike.cli.pull import pull; command.add_command(pull)\n"


def gone(hub: Hub) -> str:
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def left() -> set[str]:
    """What a pull has left in the models folder."""
    return {path.name for path in weights.models_folder().glob("*")} - {".locks"}


def in_folder(done: Pulled) -> set[str]:
    return {path.name for path in Path(done.path).iterdir()}


def test_brings_what_is_needed_and_locks_it(hub: Hub) -> None:
    told: list[tuple[str, int, int | None]] = []
    done = pull(CARD, progress=lambda what, count, total: told.append((what, count, total)))
    assert done.fresh
    assert Path(done.path) == weights.models_folder() / "tiny"
    assert in_folder(done) == PULLED == set(done.files)
    assert Path(done.path, "model.safetensors").read_bytes() == BIG
    assert done.commit == hub.main
    assert done.size == sum(len(FILES[name]) for name in PULLED)
    assert done.licence == "cc-by-nc-4.0"
    assert weights.find(CARD) == done.path
    assert told[-1] == ("tiny", done.size, done.size)
    assert [count for _, count, _ in told] == sorted(count for _, count, _ in told)
    lock = weights.locks()["hf:acme/tiny"]
    assert lock.commit == hub.main
    assert lock.files == {name: sha256(FILES[name]) for name in PULLED}


def test_the_token_goes_to_the_hub_and_nowhere_else(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull(CARD)
    sent = {(path.split("/")[1], headers.get("authorization")) for _, path, headers in hub.requests}
    assert sent == {("api", "Bearer hf_secret"), ("acme", "Bearer hf_secret"), ("files", None)}


def test_tells_the_hub_nothing_about_us(hub: Hub) -> None:
    pull(CARD)
    assert {path.split("/")[1] for _, path, _ in hub.requests} == {"api", "acme", "files"}
    assert not any(
        "torch" in headers["user-agent"] or "agent/" in headers["user-agent"] for _, _, headers in hub.requests
    )


def test_what_is_here_is_not_asked_for_again(hub: Hub) -> None:
    first = pull(CARD)
    hub.requests.clear()
    with pytest.raises(ModelUnavailable, match=r"^offline, as was asked: .*tiny stays as it is"):
        pull(CARD, offline=True, update=True)
    assert pull(CARD, offline=True) == Pulled(first.path, first.commit, first.files, first.size, fresh=False)
    assert hub.requests == []


def test_rows_of_one_repository_share_its_weights(hub: Hub) -> None:
    first = pull(CARD)
    other = ModelCard(**{**CARD.as_json(), "name": "tiny-cls", "input": CARD.input})
    assert pull(other).path == first.path


def test_words_need_the_tokenizer(hub: Hub) -> None:
    done = pull(ModelCard(**{**CARD.as_json(), "texts": True, "input": CARD.input}))
    assert in_folder(done) == PULLED | {"tokenizer.json"}


def test_a_later_commit_is_not_taken_unasked(hub: Hub) -> None:
    old = pull(CARD)
    Path(old.path, "model.safetensors").write_bytes(b"damaged on disk")
    hub.commit({**FILES, "model.safetensors": BIG + b"newer"})
    assert pull(CARD).commit == old.commit
    assert Path(old.path, "model.safetensors").read_bytes() == BIG
    new = pull(CARD, update=True)
    assert new.commit == hub.main != old.commit
    assert Path(new.path, "model.safetensors").read_bytes() == BIG + b"newer"
    assert weights.locks()["hf:acme/tiny"].commit == new.commit
    assert left() == {"tiny", "models.lock", "hashes.cache"}


def test_other_files_than_the_locked_ones_are_refused(hub: Hub) -> None:
    old = pull(CARD)
    config = Path(old.path, "config.json")
    config.write_bytes(b"{}")
    hub.commits[old.commit or ""] = {**FILES, "config.json": b'{"model_type": "dinov2"}'}
    with pytest.raises(ModelUnavailable, match=r"other files now .*config\.json.* pull tiny --update"):
        pull(CARD)
    assert config.read_bytes() == b"{}", "what is here was touched"
    hub.commits.clear()
    hub.commit({**FILES, "model.safetensors": BIG + b"newer"})
    hub.requests.clear()
    with pytest.raises(ModelUnavailable, match=r"commit \w+ is gone.*--update"):
        pull(CARD)
    assert hub.asked_for() == []
    assert pull(CARD, update=True).commit == hub.main


def test_damaged_bytes_are_refused_and_nothing_stays(hub: Hub) -> None:
    hub.damaged = True
    with pytest.raises(ModelUnavailable, match=r"model\.safetensors: came with SHA-256 .* nothing was kept"):
        pull(CARD)
    assert weights.find(CARD) is None
    assert list(weights.models_folder().rglob("*.safetensors*")) == []
    assert weights.locks() == {}
    hub.damaged = False
    assert pull(CARD).fresh


def test_a_damaged_small_file_is_refused(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = hub.listing(hub.main)
    monkeypatch.setattr(hub, "listing", lambda commit: listing)
    hub.commits[hub.main] = {**FILES, "config.json": b'{"model_type": "not"}'}
    with pytest.raises(ModelUnavailable, match=r"config\.json: came with git hash"):
        pull(CARD)


def test_what_was_cut_off_is_continued(hub: Hub) -> None:
    hub.cut_after = 100_000
    with pytest.raises(
        ModelUnavailable, match=r"broke off 5 times.* after 500000 of 2048000 bytes.*goes on from there"
    ):
        pull(CARD)
    assert weights.find(CARD) is None
    hub.cut_after = None
    hub.requests.clear()
    done = pull(CARD)
    assert Path(done.path, "model.safetensors").read_bytes() == BIG
    assert [headers.get("range") for _, path, headers in hub.requests if "/files/" in path] == ["bytes=500000-"]
    assert hub.asked_for() == ["model.safetensors", sha256(BIG)], "the small files were there already"


def test_a_server_without_ranges_begins_again(hub: Hub) -> None:
    hub.cut_after, hub.ranges = 100_000, False
    with pytest.raises(ModelUnavailable, match="broke off"):
        pull(CARD)
    hub.cut_after = None
    assert Path(pull(CARD).path, "model.safetensors").read_bytes() == BIG


def test_files_left_by_a_pull_of_another_commit_do_not_get_in(hub: Hub) -> None:
    hub.commit({**FILES, "vocab.txt": b"a"})
    hub.cut_after = 10
    card = ModelCard(**{**CARD.as_json(), "texts": True, "input": CARD.input})
    with pytest.raises(ModelUnavailable, match="broke off"):
        pull(card)
    hub.cut_after = None
    hub.commit({**FILES, "config.json": b'{"model_type": "dinov2"}'})
    done = pull(card)
    assert in_folder(done) == PULLED | {"tokenizer.json"}
    assert b"dinov2" in Path(done.path, "config.json").read_bytes()


def test_shards(hub: Hub) -> None:
    index = {"weight_map": {"a.weight": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    files = {name: data for name, data in FILES.items() if name != "model.safetensors"}
    shards = {"model-00001-of-00002.safetensors": BIG, "model-00002-of-00002.safetensors": BIG[1:]}
    hub.commit({**files, **shards, "model.safetensors.index.json": json.dumps(index).encode()})
    expected = {"config.json", "preprocessor_config.json", "model.safetensors.index.json", *shards}
    assert in_folder(pull(CARD)) == expected


def test_of_blip2_only_the_shards_that_see(hub: Hub) -> None:
    one, two, three = (f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3))
    shards = {
        "query_tokens": one,
        "vision_model.post_layernorm.weight": one,
        "qformer.layernorm.weight": two,
        "language_model.lm_head.weight": three,
    }
    files = {
        "config.json": b'{"model_type": "blip-2"}',
        "model.safetensors.index.json": json.dumps({"weight_map": shards}).encode(),
        **dict.fromkeys((one, two, three), BIG),
    }
    hub.commit(files)
    done = pull(CARD)
    assert in_folder(done) == {"config.json", "model.safetensors.index.json", one, two}
    assert weights.find(CARD) == done.path


def test_pickles_only_where_there_is_nothing_better(hub: Hub) -> None:
    hub.commit({name: data for name, data in FILES.items() if name != "model.safetensors"})
    assert in_folder(pull(CARD)) == {"config.json", "preprocessor_config.json", "pytorch_model.bin"}


def test_repositories_without_a_model(hub: Hub) -> None:
    hub.commit({"config.json": b"{}", "tf_model.h5": BIG})
    with pytest.raises(ModelUnavailable, match=r"no weights in model\.safetensors"):
        pull(CARD)
    hub.commit({"model.safetensors": BIG})
    with pytest.raises(ModelUnavailable, match=r"no config\.json"):
        pull(CARD)
    assert weights.find(CARD) is None


def test_gated(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.gated = True
    with pytest.raises(ModelUnavailable, match=r"accept its licence.* HF_TOKEN"):
        pull(CARD)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert pull(CARD).gated


@pytest.mark.parametrize("status", [401, 403])
def test_a_hub_that_asks_who_we_are(hub: Hub, status: int) -> None:
    hub.status = status
    with pytest.raises(ModelUnavailable, match=rf"{status}.*accept its licence.* HF_TOKEN"):
        pull(CARD)


def test_no_such_repository(hub: Hub) -> None:
    card = ModelCard(**{**CARD.as_json(), "weights": "hf:acme/huge", "input": CARD.input})
    with pytest.raises(ModelUnavailable, match="no hf:acme/huge"):
        pull(card)
    with pytest.raises(UsageError, match="names no repository"):
        pull(ModelCard(**{**CARD.as_json(), "weights": "hf:../../etc", "input": CARD.input}))


@pytest.mark.parametrize("status", [500, 503, 429, 404])
def test_a_hub_that_is_ill(hub: Hub, status: int) -> None:
    hub.status = status
    with pytest.raises(ModelUnavailable, match=rf"answers {status}.*\(1\).*\(2\).*\(3\)"):
        pull(CARD)
    assert len(hub.requests) == 1, "it was asked again"


def test_a_hotels_login_page_is_no_hub(hub: Hub) -> None:
    hub.portal = True
    with pytest.raises(ModelUnavailable, match="login page"):
        pull(CARD)


def test_a_hub_that_never_answers_is_given_up(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """No clock is asserted; the limits that bound it are, and that they are in force."""
    assert transfer.SILENCE <= transfer.DEADLINE <= 8
    monkeypatch.setattr(transfer, "DEADLINE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(ModelUnavailable, match="no answer in time"):
            pull(CARD)


def test_nobody_listens(hub: Hub) -> None:
    done = pull_by_command("hf:acme/tiny", HF_ENDPOINT=gone(hub))
    assert done.code == 2
    assert "Connection refused" in done.err
    for remedy in ("models pull hf:acme/tiny", "--model ./folder", "needs no download"):
        assert remedy in done.err
    assert len(done.err.splitlines()) == 2  # what is pulled, and why not


def test_offline_opens_no_socket(hub: Hub) -> None:
    spy = (
        "import sys\n"
        "sys.addaudithook(lambda event, _: sys.exit(f'opened: {event}') if event.startswith('socket.') else None)"
    )
    for arguments, environment in (
        (["--offline"], {}),
        ([], {"HF_HUB_OFFLINE": "1"}),
        ([], {"TRANSFORMERS_OFFLINE": "true"}),
    ):
        done = pull_by_command("hf:acme/tiny", *arguments, first=spy, **environment)
        assert (done.code, "offline" in done.err, "--model ./folder" in done.err) == (2, True, True), done.err
    assert hub.requests == []


def test_the_command(hub: Hub) -> None:
    done = pull_by_command("hf:acme/tiny")
    assert done.code == 0, done.err
    assert "pulled and verified" in done.out
    assert hub.main in done.out
    assert "cc-by-nc-4.0 (non-commercial use only)" in done.out
    assert "%" not in done.err, "no progress bar in a pipe"
    again = pull_by_command("hf:acme/tiny", "phash", "--json", HF_ENDPOINT=gone(hub))
    tiny, phash = again.json
    assert (tiny["pulled"], tiny["commit"], tiny["path"]) == (
        False,
        hub.main,
        str(weights.models_folder() / "acme--tiny"),
    )
    assert (phash["pulled"], phash["source"]) == (False, None)


def test_one_pull_at_a_time(hub: Hub) -> None:
    from filelock import FileLock

    place = weights.models_folder() / ".locks" / "tiny"
    place.parent.mkdir()
    with FileLock(place), pytest.raises(ModelUnavailable, match="another process"):
        pull(CARD)


def test_what_the_user_put_there_is_not_replaced(hub: Hub) -> None:
    own = weights.models_folder() / "tiny"
    own.mkdir(parents=True)
    (own / "config.json").write_text("mine")
    with pytest.raises(ModelUnavailable, match="was not put there by"):
        pull(CARD)
    assert (own / "config.json").read_text() == "mine"


def test_a_killed_pull_leaves_nothing_that_counts(hub: Hub) -> None:
    hub.cut_after = 1000
    script = (
        "import os; from lookalike.models import transfer, download; from tests.faces.test_pull import CARD\n"
        "transfer.Broken = lambda message: os._exit(9)\n"
        "download.pull(CARD)"
    )
    done = subprocess.run([sys.executable, "-c", script], timeout=60, check=False)
    assert done.returncode == 9
    assert weights.find(CARD) is None
    hub.cut_after = None
    assert pull(CARD).fresh


def test_a_full_disk(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    small = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))"
    done = pull_by_command("hf:acme/tiny", first=small)
    assert done.code == 2
    assert "no space is left" in done.err
    assert list(weights.models_folder().rglob("*.safetensors*")) == []
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1_000_000})())
    hub.requests.clear()
    with pytest.raises(StorageError, match="no space is left"):
        pull(CARD)
    assert "model.safetensors" not in hub.asked_for()


# Single files


CHECKPOINT = f"net-{sha256(BIG)[:8]}.pth"


def of_file(hub: Hub, name: str) -> ModelCard:
    return ModelCard(**{**CARD.as_json(), "weights": f"{hub.url}/files/{name}", "input": CARD.input})


def test_a_checkpoint_whose_name_tells_its_hash(hub: Hub) -> None:
    hub.plain[CHECKPOINT] = BIG
    card = of_file(hub, CHECKPOINT)
    done = pull(card)
    assert done.fresh
    assert Path(done.path) == weights.models_folder() / CHECKPOINT
    assert Path(done.path).read_bytes() == BIG
    assert (done.commit, done.files) == (None, {CHECKPOINT: sha256(BIG)})
    hub.requests.clear()
    assert not pull(card).fresh
    assert hub.requests == []


def test_a_checkpoint_with_another_hash_than_its_name_tells(hub: Hub) -> None:
    hub.plain[CHECKPOINT] = BIG[1:]
    with pytest.raises(ModelUnavailable, match="nothing was kept"):
        pull(of_file(hub, CHECKPOINT))
    assert left() == set()


def test_a_checkpoint_that_is_a_web_page(hub: Hub) -> None:
    hub.plain["net.pth"] = b"\n<!DOCTYPE html><html>Log in</html>"
    with pytest.raises(ModelUnavailable, match="a web page came"):
        pull(of_file(hub, "net.pth"))
    assert left() == set()


def test_a_checkpoint_is_held_to_its_first_hash(hub: Hub) -> None:
    hub.plain["net.pth"] = BIG
    card = of_file(hub, "net.pth")
    path = Path(pull(card).path)
    path.unlink()
    hub.plain["net.pth"] = BIG[::-1]
    with pytest.raises(ModelUnavailable, match=r"other files now.*--update"):
        pull(card)
    assert not path.exists()
    pull(card, update=True)
    assert path.read_bytes() == BIG[::-1]


@pytest.mark.parametrize("name", [CHECKPOINT, "net.pth"])
def test_a_checkpoint_cut_off(hub: Hub, name: str) -> None:
    """It is continued where its name tells its hash, and begun again where nobody would notice a wrong end."""
    hub.plain[name] = BIG
    hub.cut_after = 100_000
    with pytest.raises(ModelUnavailable, match="broke off"):
        pull(of_file(hub, name))
    hub.cut_after = None
    hub.requests.clear()
    assert Path(pull(of_file(hub, name)).path).read_bytes() == BIG
    assert [headers.get("range") for _, _, headers in hub.requests] == ["bytes=500000-" if name == CHECKPOINT else None]


def test_a_checkpoint_that_is_gone_and_a_server_that_is(hub: Hub) -> None:
    with pytest.raises(ModelUnavailable, match=r"\(404\)"):
        pull(of_file(hub, "gone.pth"))
    hub.url = gone(hub)
    with pytest.raises(ModelUnavailable, match=r"Connection refused.*\(1\).*\(2\).*\(3\)"):
        pull(of_file(hub, "gone.pth"))


def test_weights_that_the_user_brings(hub: Hub) -> None:
    card = ModelCard(**{**CARD.as_json(), "weights": "file", "source": "their paper", "input": CARD.input})
    with pytest.raises(ModelUnavailable, match=r"their paper.*tiny\.pth"):
        pull(card)
    place = weights.models_folder() / "tiny.pth"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(BIG)
    assert pull(card).path == str(place)
    with pytest.raises(UsageError, match="needs no weights"):
        pull(ModelCard(**{**CARD.as_json(), "weights": None, "input": CARD.input}))
