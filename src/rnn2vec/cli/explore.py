"""`rnn2vec explore`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from rnn2vec._assets import shipped_folder
from rnn2vec._errors import UsageError
from rnn2vec.cli.members import MembersVerb
from rnn2vec.cli.terminal import Terminal

SAMPLE = "formal-languages"
"""Zoo that is shown when none is given."""


@dataclass(frozen=True, kw_only=True)
class Explore(MembersVerb):
    """Show a zoo, an index or a folder of checkpoints as a live page: a map, a card for each RNN, and its answers."""

    paths: tyro.conf.Positional[tuple[Path, ...]] = ()
    """A zoo, an index or a folder of checkpoints; by default the sample zoo and the model of the package."""
    host: str = "127.0.0.1"
    """Address to listen on. On any other than this machine's own, the page asks for the token in the printed link."""
    port: int = 8722
    """Port to listen on; 0 takes any that is free."""
    export: Path | None = None
    """Instead of serving, write a static copy of the page to this folder; it opens without a server."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Open the collection, and serve it until Ctrl-C, or export it."""
        _require_libraries()
        from rnn2vec.explorer.collection import Collection

        source = self._source()
        model = SAMPLE if not self.paths and self.model is None and self.inputs is None else self.model
        with dataclasses.replace(self, paths=(source,), model=model).opened(terminal) as index:
            collection = Collection(index, source, hints=self.hints, seed=self.seed)
            if self.export is not None:
                return _export(collection, self.export, terminal)
            return self._serve(collection, terminal)

    def _source(self) -> Path:
        if not self.paths:
            return shipped_folder("zoos", SAMPLE)
        if len(self.paths) > 1:
            raise UsageError(f"{len(self.paths)} collections", remedy="give one; `rnn2vec index build` joins several.")
        return self.paths[0]

    def _serve(self, collection: Any, terminal: Terminal) -> dict[str, Any]:
        from rnn2vec.explorer import server

        with server.listen(self.host, self.port) as listening:
            port = listening.getsockname()[1]
            admission = server.admission_for(self.host, port)
            address = server.link(self.host, port, admission)
            terminal.say(f"{len(collection):,} RNNs on {address} (Ctrl-C ends it)")
            if admission.token is not None:
                terminal.say("Other machines can reach this address; only the link above, with its token, is answered.")
            server.serve(collection, listening, admission)
        return {"address": address, "rnns": len(collection)}


def _require_libraries() -> None:
    try:
        import starlette
        import uvicorn
    except ImportError as error:
        raise UsageError(
            f"{error.name} is not installed", remedy="install the explorer: pip install 'rnn2vec[explore]'."
        ) from error
    del starlette, uvicorn


def _export(collection: Any, folder: Path, terminal: Terminal) -> dict[str, Any]:
    from rnn2vec.explorer.export import export

    with terminal.progress("export") as progress:
        written = export(collection, folder, progress=progress)
    terminal.say(f"{written}: opens in any browser, without a server")
    return {"page": str(written), "rnns": len(collection)}
