"""asyncio on uvloop, with a child and pipes, measured for pipe_bench and queue_bench.

python_uvloop.py trip BYTES COUNT   prints seconds per round trip of a message
python_uvloop.py flow BYTES COUNT   prints seconds per message to a child

The child is this script again. A message is its length in four bytes and its content, in one
write. A wrong result is an exception, and a failed exit.
"""

import asyncio
import sys
import time

import uvloop

LENGTH_BYTES = 4
NUMBER_BYTES = 8


def marked(number, size):
    """The number stands at both ends, so that half a message is not taken for a whole one."""
    end = number.to_bytes(NUMBER_BYTES, "little")
    return end + bytes(size - 2 * NUMBER_BYTES) + end


async def send(to, message):
    to.write(len(message).to_bytes(LENGTH_BYTES, "little") + message)
    await to.drain()


async def receive(source):
    length = int.from_bytes(await source.readexactly(LENGTH_BYTES), "little")
    return await source.readexactly(length)


async def start(*words):
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, __file__, *map(str, words), stdin=pipe, stdout=pipe, limit=1 << 21
    )


async def end(child):
    child.stdin.close()
    assert await child.wait() == 0


async def from_parent():
    """Reader and writer of the pipes that a child has for its standard input and output."""
    loop = asyncio.get_running_loop()
    source = asyncio.StreamReader(limit=1 << 21)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(source), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, sys.stdout
    )
    return source, asyncio.StreamWriter(transport, protocol, None, loop)


async def trip(size, count):
    child = await start("echo", size, count)
    for i in range(count + 1):
        message = marked(i, size)
        await send(child.stdin, message)
        assert await receive(child.stdout) == message, "another message came back"
        if i == 0:  # the child has started
            began = time.monotonic()
    took = time.monotonic() - began
    await end(child)
    return took / count


async def echo(_, count):
    source, to = await from_parent()
    for _ in range(count + 1):
        await send(to, await receive(source))
    to.close()


async def flow(size, count):
    child = await start("take", size, count)
    await receive(child.stdout)
    began = time.monotonic()
    for i in range(count):
        await send(child.stdin, marked(i, size))
    await receive(child.stdout)
    took = time.monotonic() - began
    await end(child)
    return took / count


async def take(size, count):
    source, to = await from_parent()
    await send(to, b"ready")
    for i in range(count):
        assert await receive(source) == marked(i, size), "lost, out of order, or not what was sent"
    await send(to, b"all")
    assert await source.read() == b"", "more messages than were sent"
    to.close()


if __name__ == "__main__":
    uvloop.install()
    work = {"trip": trip, "flow": flow, "echo": echo, "take": take}[sys.argv[1]]
    seconds = asyncio.run(work(*map(int, sys.argv[2:])))
    if seconds is not None:
        print(seconds)
