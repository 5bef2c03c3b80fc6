"""Many BVH files, one after the other, read by several processes at once.

Threads are no help: a file is read in many short steps, and between any two of them a thread waits for Python's one
lock. So there are helpers: other processes, which send what they read through a pipe. A helper is a new Python that
loads the reader alone. It is no fork, which is not safe where there are threads, and unlike a process of
`multiprocessing` it does not run the caller's script. It ends with its pipe: nothing is left when a caller stops early.
"""

import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import chain, islice
from pathlib import Path
from typing import IO, cast

from kinema.files.bvh import Bvh, read_bvh

FEW = 20
"""Fewer files are read before a helper has started, so that none is."""
AHEAD = 12
"""How many files beyond the next one are given out, for each helper: at most so many are in memory."""
PENDING = 4
"""How many files a helper has before it, at most: one that it reads, and others so that it need not wait for more."""
PIPE_BYTES = 2**20
"""How much a helper can send before it is taken, where the system lets one choose."""
START = """
import sys, types
sys.path[:] = {path!r}
package = sys.modules["kinema.files"] = types.ModuleType("kinema.files")
package.__path__ = [{folder!r}]
from kinema.files.bvh_workers import serve
serve()
"""
"""What a helper runs. An empty package stands for kinema.files, which would load torch: that takes seconds."""


def read_many(paths: Iterable[Path], workers: int = 2) -> Iterator[Bvh]:
    """The files in their order, read by so many processes, this one among them. Raises FileError at a bad file.

    This process reads whatever no helper has time for, and all files where no helper can be started.
    """
    rest = iter(paths)
    first = list(islice(rest, FEW))
    with ExitStack() as stack:
        helpers = start_helpers(workers - 1 if len(first) == FEW else 0, stack)
        given: deque[tuple[Path, Future[Bvh] | None]] = deque()
        for path in chain(first, rest):
            helper = next((helper for helper in helpers if helper.is_free()), None)
            given.append((path, helper.ask(path) if helper else None))
            if len(given) > AHEAD * len(helpers):
                yield take(*given.popleft())
        while given:
            yield take(*given.popleft())


def take(path: Path, answer: Future[Bvh] | None) -> Bvh:
    """What a helper made of the file; this process reads it where no helper was asked or it ended. Raises FileError."""
    with suppress(EOFError, OSError, pickle.UnpicklingError):
        if answer:
            return answer.result()
    return read_bvh(path)


class Helper:
    """Another process that reads files, and a thread of this one that takes what it sends. Raises OSError."""

    def __init__(self) -> None:
        code = START.format(path=list(map(str, sys.path)), folder=str(Path(__file__).parent))
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pipesize=PIPE_BYTES,
            start_new_session=True,  # Ctrl-C is for the caller alone, who then ends the helper
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        self.questions, self.answers = cast(IO[bytes], self.process.stdin), cast(IO[bytes], self.process.stdout)
        self.thread = ThreadPoolExecutor(1)
        self.ready = self.answer()
        self.pending: list[Future[Bvh]] = []

    def is_free(self) -> bool:
        """Whether it can be asked for one more file."""
        self.pending = [answer for answer in self.pending if not answer.done()]
        return self.ready.done() and len(self.pending) < PENDING and self.process.poll() is None

    def ask(self, path: Path) -> Future[Bvh]:
        """What it will make of the file: an exception where it has ended, as it does at a file that it cannot read."""
        with suppress(OSError):
            send(str(path), self.questions)
        self.pending.append(self.answer())
        return self.pending[-1]

    def answer(self) -> Future:
        return self.thread.submit(pickle.load, self.answers)

    def close(self) -> None:
        self.process.kill()
        self.thread.shutdown(cancel_futures=True)
        with suppress(OSError):  # there is a question that it did not take
            self.process.__exit__(None, None, None)


def start_helpers(count: int, stack: ExitStack) -> list[Helper]:
    """So many helpers, closed with the stack; fewer where the system refuses, none within a program of another name."""
    helpers = []
    if Path(sys.executable or "").name.lower().startswith(("python", "pypy")):
        with suppress(OSError):
            for _ in range(count):
                helpers.append(Helper())
                stack.callback(helpers[-1].close)
    return helpers


def serve() -> None:
    """A helper's work: tells that it is ready, then reads what it is asked for. Ends with the pipe or at a bad file."""
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    with suppress(EOFError, OSError):
        send(None, answers)
        while True:
            send(read_bvh(Path(pickle.load(questions))), answers)


def send(what: object, pipe: IO[bytes]) -> None:
    pickle.dump(what, pipe, protocol=5)  # 5 writes the numbers from where they are
    pipe.flush()
