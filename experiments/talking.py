"""Processes that are told when to work, and answer."""

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

from facedirs_jax.errors import InputError


@contextlib.contextmanager
def started(target: Callable[..., None], *given: Any) -> Iterator[Connection]:
    """Starts a process that has nothing of this one but what it is given.

    Args:
        target: what it does; its first argument is its end of a pipe, which closes with
            the block. It should end then.
        given: the other arguments.

    Yields:
        This end of the pipe.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy locks of JAX
    pipe, its = context.Pipe()
    process = context.Process(target=target, args=(its, *given))
    process.start()
    its.close()
    try:
        yield pipe
    finally:
        pipe.close()
        process.join()


def answer(pipe: Connection) -> Any:
    """Waits for what a process sends.

    Raises:
        InputError: if that is one.
        RuntimeError: if the process died.
    """
    try:
        found = pipe.recv()
    except (EOFError, ConnectionResetError) as error:
        raise RuntimeError("a process died; what it says stands above") from error
    if isinstance(found, InputError):
        raise found
    return found


def asked(pipes: Sequence[Connection]) -> list[Any]:
    """Tells processes to work, all at once, and waits for their answers."""
    for pipe in pipes:
        pipe.send(None)
    return [answer(pipe) for pipe in pipes]


@contextlib.contextmanager
def telling_errors(pipe: Connection) -> Iterator[None]:
    """Within a process: sends the InputError that ends the block.

    A pipe that is closed at the other end ends the block too, silently.
    """
    try:
        yield
    except InputError as error:
        pipe.send(error)
    except (EOFError, BrokenPipeError):
        pass
