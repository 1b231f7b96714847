"""Images from files: right, damaged, hostile, missing, and from a mirror that the test serves itself."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import logging
import resource
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rnn2vec._errors import DataError, UsageError
from rnn2vec.tasks import idx_images
from rnn2vec.tasks.idx_images import IMAGES, LABELS

IMAGE_HEADER = struct.pack(">IIII", 0x803, 6, 28, 28)
LABEL_HEADER = struct.pack(">II", 0x801, 6)
PIXELS = np.random.default_rng(3).integers(0, 256, 6 * 784, dtype=np.uint8).tobytes()
CLASSES = bytes([0, 1, 2, 9, 9, 5])

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(images=b"...", labels=b"...", packed=True)`: a folder with such files."""

    def do(
        *, images: bytes = IMAGE_HEADER + PIXELS, labels: bytes = LABEL_HEADER + CLASSES, packed: bool = True
    ) -> Path:
        for name, content in ((IMAGES, images), (LABELS, labels)):
            path = tmp_path / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(content) if packed else content)
        return tmp_path

    return do


@pytest.fixture
def nothing_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As on a new machine: no variable, no images read before, and an empty cache, whose folder this is."""
    monkeypatch.delenv(idx_images.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(idx_images, "_known", {})
    idx_images.read_folder.cache_clear()
    return tmp_path / "cache" / "rnn2vec" / "mnist"


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
def test_images_and_labels_are_read_as_they_were_written(write: Write, packed: bool) -> None:
    found = idx_images.read_folder(write(packed=packed))
    assert found.images.tobytes() == PIXELS
    assert found.images.shape == (6, 784)
    assert found.labels.tolist() == list(CLASSES)
    assert found.fingerprint == hashlib.sha256(PIXELS + CLASSES).hexdigest()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"has neither {IMAGES}.gz nor {IMAGES}\n.*MNIST's IDX files"):
        idx_images.read_folder(tmp_path)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (b"", "begins with nothing, expected 00000803"),
        (b"\x89PNG....", "begins with 89504e47"),
        (LABEL_HEADER + CLASSES, "begins with 00000801"),
        (struct.pack(">IIII", 0x803, 0, 28, 28), "announces 0 items"),
        (
            struct.pack(">IIII", 0x803, 2**32 - 1, 28, 28) + PIXELS,
            "announces 4,294,967,295 items, expected 5 to 300,000",
        ),
        (struct.pack(">IIII", 0x803, 6, 32, 32) + PIXELS, "images are not 28 x 28"),
        (IMAGE_HEADER[:12], "images are not 28 x 28"),
        (IMAGE_HEADER + PIXELS[:-1], "fewer than the 4,704 bytes"),
        (IMAGE_HEADER + PIXELS + b"x", "more than the 4,704 bytes"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_files_that_are_not_what_they_should_be_are_refused(
    write: Write, images: bytes, words: str, packed: bool
) -> None:
    with pytest.raises(DataError, match=rf"{IMAGES}(.gz)? is not a whole IDX file .*{words}(.|\n)*get the file again"):
        idx_images.read_folder(write(images=images, packed=packed))


@pytest.mark.parametrize("damage", [lambda data: data[:-12], lambda data: data[:60] + bytes(40) + data[100:]])
def test_a_damaged_gzip_stream_is_refused(write: Write, damage: Callable[[bytes], bytes]) -> None:
    folder = write()
    path = folder / f"{IMAGES}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=rf"{IMAGES}.gz is not a whole IDX file"):
        idx_images.read_folder(folder)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (struct.pack(">II", 0x801, 7) + CLASSES + b"\0", "6 images and 7 labels"),
        (LABEL_HEADER + b"\x0a" + CLASSES[1:], "labels up to 10"),
    ],
)
def test_labels_must_fit_the_images(write: Write, labels: bytes, words: str) -> None:
    with pytest.raises(DataError, match=rf"{words}(.|\n)*from 0 to 9"):
        idx_images.read_folder(write(labels=labels))


def test_a_small_file_that_unpacks_to_much_takes_no_memory(tmp_path: Path) -> None:
    """256 MB of zeros in 1 MB: what follows the announced bytes is not unpacked."""
    bomb = io.BytesIO()
    with gzip.GzipFile(fileobj=bomb, mode="wb", compresslevel=1) as file:
        file.write(IMAGE_HEADER)
        for _ in range(256):
            file.write(bytes(2**20))
    (tmp_path / f"{IMAGES}.gz").write_bytes(bomb.getvalue())
    (tmp_path / f"{LABELS}.gz").write_bytes(gzip.compress(LABEL_HEADER + CLASSES))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="more than the 4,704 bytes"):
        idx_images.read_folder(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB


# -- finding ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_known")
def test_the_variable_names_the_folder(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(idx_images.ENVIRONMENT_VARIABLE, str(write()))
    assert idx_images.find().labels.tolist() == list(CLASSES)


@pytest.mark.usefixtures("nothing_known")
def test_other_images_than_mnists_are_said_aloud_unless_a_zoo_asks_for_them(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write()
    with caplog.at_level(logging.WARNING):
        found = idx_images.find(folder)
    assert f"not MNIST's by checksum: {IMAGES}, {LABELS}. Fine for other images" in caplog.text
    caplog.clear()
    idx_images._known.clear()
    assert idx_images.find(folder, fingerprint=found.fingerprint) is found
    assert caplog.text == ""


@pytest.mark.usefixtures("nothing_known")
def test_images_that_were_read_are_found_by_their_fingerprint(write: Write) -> None:
    found = idx_images.find(write())
    assert idx_images.find(fingerprint=found.fingerprint) is found


@pytest.mark.usefixtures("nothing_known")
def test_other_images_than_the_zoos_are_refused(write: Write) -> None:
    found = idx_images.find(write())
    with pytest.raises(
        DataError, match=rf"images with fingerprint abcabcabcabc, but .*{found.fingerprint[:12]}\n.*RNN2VEC"
    ):
        idx_images.find(write(), fingerprint="abc" * 20)


@pytest.mark.usefixtures("nothing_known")
def test_without_images_and_hub_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=rf"is not installed\n.*{IMAGES}.gz .*pip install 'rnn2vec\[hub\]'"):
        idx_images.find()


# -- the mirror ------------------------------------------------------------------------------------


def _parquet() -> bytes:
    """The six images as the mirror holds them."""
    pictures: list[dict[str, bytes]] = []
    for image in np.frombuffer(PIXELS, dtype=np.uint8).reshape(6, 28, 28):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        pictures.append({"bytes": file.getvalue()})
    out = io.BytesIO()
    pq.write_table(pa.table({"image": pictures, "label": list(CLASSES)}), out)
    return out.getvalue()


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Generator[list[str]]:
    """A server that answers for the hub; what it was asked for."""
    content, asked = _parquet(), []

    class Handler(http.server.BaseHTTPRequestHandler):
        def _answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_response(200)
            for name, value in (
                ("ETag", f'"{hashlib.sha256(content).hexdigest()}"'),
                ("X-Repo-Commit", "0" * 40),
                ("Content-Length", str(len(content))),
            ):
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_GET = do_HEAD = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    from huggingface_hub import constants

    here = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", here)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", here + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    yield asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def as_canonical(monkeypatch: pytest.MonkeyPatch) -> None:
    """The six images are MNIST, for once."""
    content = {IMAGES: IMAGE_HEADER + PIXELS, LABELS: LABEL_HEADER + CLASSES}
    checksums = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    monkeypatch.setattr(idx_images, "CANONICAL", checksums)


@pytest.mark.usefixtures("as_canonical")
def test_the_mirrors_images_are_kept(nothing_known: Path, mirror: list[str]) -> None:
    found = idx_images.find()
    assert found.images.tobytes() == PIXELS
    assert any("datasets/ylecun/mnist/resolve/main/mnist/train-00000-of-00001.parquet" in line for line in mirror)
    assert sorted(path.name for path in nothing_known.iterdir()) == [f"{IMAGES}.gz", f"{LABELS}.gz"]
    mirror.clear()
    idx_images._known.clear()
    idx_images.read_folder.cache_clear()
    assert idx_images.find().fingerprint == found.fingerprint
    assert mirror == []


@pytest.mark.usefixtures("mirror", "as_canonical")
def test_a_damaged_cache_is_filled_again(nothing_known: Path) -> None:
    idx_images.find()
    (nothing_known / f"{IMAGES}.gz").write_bytes(b"\x1f\x8b nothing")
    idx_images._known.clear()
    idx_images.read_folder.cache_clear()
    assert idx_images.find().images.tobytes() == PIXELS


@pytest.mark.usefixtures("mirror")
def test_other_images_from_the_mirror_are_refused(nothing_known: Path) -> None:
    with pytest.raises(DataError, match=rf"mirror ylecun/mnist has another {IMAGES} and {LABELS} than MNIST"):
        idx_images.find()
    assert not nothing_known.exists()


@pytest.mark.usefixtures("nothing_known")
def test_a_mirror_out_of_reach_is_an_error_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match=rf"ylecun/mnist could not be reached: .*\n.*RNN2VEC_MNIST .*{LABELS}.gz"):
        idx_images.find()


def test_the_hub_is_not_loaded_before_it_is_needed() -> None:
    script = "import sys, rnn2vec.tasks; assert not {'huggingface_hub', 'PIL'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", script], check=True)
