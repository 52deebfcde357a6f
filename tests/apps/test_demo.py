import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mien.apps.demo import animate, check_port


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Server = subprocess.Popen[str]


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server's temporary files go."""
    return tmp_path_factory.mktemp("temporary")


@pytest.fixture(scope="module")
def served(temporary: Path) -> Iterator[tuple[Server, str]]:
    """`mien demo` in a process of its own, and where its page is."""
    port = free_port()
    argv = [sys.executable, "-m", "mien.apps", "demo", "--port", str(port)]
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment) as server:
        try:
            lines = iter(server.stderr.readline, "") if server.stderr else iter(())
            assert any(
                line == f"mien: open http://127.0.0.1:{port}/, end with Ctrl+C\n" for line in lines
            )
            yield server, f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def address(served: tuple[Server, str]) -> str:
    return served[1]


def fetch(url: str, body: bytes | None = None, kind: str = "application/json") -> str:
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    with urllib.request.urlopen(request, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def call(address: str, name: str, *values: object) -> tuple[str, Any]:
    """Press a button: the kind of the answer, "complete" or "error", and what it holds."""
    body = json.dumps({"data": values}).encode()
    event = json.loads(fetch(f"{address}/gradio_api/call/{name}", body))["event_id"]
    lines = fetch(f"{address}/gradio_api/call/{name}/{event}").strip().splitlines()
    return lines[-2].removeprefix("event: "), json.loads(lines[-1].removeprefix("data: "))


def upload(address: str, path: Path) -> dict[str, object]:
    edge = "a-boundary-that-no-file-holds"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n'
    body = f"{head}Content-Type: text/csv\r\n\r\n".encode() + path.read_bytes()
    body += f"\r\n--{edge}--\r\n".encode()
    answer = fetch(f"{address}/gradio_api/upload", body, f"multipart/form-data; boundary={edge}")
    return {"path": json.loads(answer)[0], "meta": {"_type": "gradio.FileData"}}


def test_the_page_is_served_and_fetches_nothing_from_elsewhere(address: str) -> None:
    assert "What the face does" in fetch(address)
    assert "fonts.googleapis.com" not in fetch(f"{address}/theme.css")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("", 0, 0, "adult"), "must say in words"),
        (("a smile", 0.1, 0, "adult"), "from 0.2 to 120"),
    ],
)
def test_a_bad_prompt_is_answered_by_one_line(
    values: tuple[object, ...], said: str, address: str
) -> None:
    kind, answer = call(address, "animate", *values)
    assert kind == "error" and said in str(answer)


def test_a_bad_clip_is_answered_by_one_line(address: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    path.write_text("a smile\n")
    kind, answer = call(address, "caption", upload(address, path))
    assert kind == "error" and "broken.csv" in str(answer)


def test_what_the_page_makes_lies_in_its_folder(tmp_path: Path) -> None:
    video, curves, files = animate("a nod", 0.4, 0, "adult", folder=tmp_path, device="cpu")
    (made,) = tmp_path.iterdir()
    assert sorted(files) == sorted(str(path) for path in made.iterdir())
    assert video in files and curves.width > curves.height


def test_nothing_is_left_behind_by_a_page_that_is_terminated(
    served: tuple[Server, str], temporary: Path, tmp_path: Path
) -> None:
    server, address = served
    path = tmp_path / "clip.csv"
    path.write_text("a smile\n")
    upload(address, path)
    assert list(temporary.rglob("clip.csv"))
    server.terminate()
    assert server.wait(60) == 143
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("port", [0, 80, 70000])
def test_ports_that_no_user_may_open_are_refused(port: int) -> None:
    with pytest.raises(ValueError, match="from 1024 to 65535"):
        check_port(port)
