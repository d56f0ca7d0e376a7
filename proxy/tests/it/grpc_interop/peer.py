"""A gRPC peer made of grpcio. Messages are plain bytes, so that nothing has to be generated.

    peer.py serve [STREAMS [CERT KEY]]    serves test.Interop and prints its port; STREAMS is the limit of a connection
    peer.py call TARGET [CA]              runs every case against TARGET and prints one line for each

The service is the same as in service.rs, and the cases are the same as in cases.rs.
"""

import asyncio
import os
import sys
import threading
import time

import grpc
import grpc.aio

SERVICE = "/test.Interop/"
LARGE = b"x" * 3_900_000  # below the 4 MiB that grpcio takes by default
WHITESPACE_AND_UNICODE = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
PATIENCE = 20


class Interop(grpc.GenericRpcHandler):
    """Counts calls of Wait that have begun, and those that were cancelled."""

    def __init__(self):
        self.begun = self.cancelled = 0

    def service(self, details):
        kinds = {
            "Echo": (grpc.unary_unary_rpc_method_handler, self.echo),
            "Status": (grpc.unary_unary_rpc_method_handler, self.status),
            "Sleep": (grpc.unary_unary_rpc_method_handler, self.sleep),
            "Counts": (grpc.unary_unary_rpc_method_handler, self.counts),
            "Metadata": (grpc.unary_stream_rpc_method_handler, self.metadata),
            "Down": (grpc.unary_stream_rpc_method_handler, self.down),
            "Up": (grpc.stream_unary_rpc_method_handler, self.up),
            "Both": (grpc.stream_stream_rpc_method_handler, self.both),
            "Ticks": (grpc.stream_stream_rpc_method_handler, self.ticks),
            "Takes": (grpc.stream_stream_rpc_method_handler, self.takes),
            "Wait": (grpc.stream_stream_rpc_method_handler, self.wait),
        }
        kind = kinds.get(details.method.removeprefix(SERVICE))
        return kind and kind[0](kind[1])

    async def echo(self, message, context):
        return message

    async def status(self, message, context):
        code = int(dict(context.invocation_metadata())["x-code"])
        codes = {code.value[0]: code for code in grpc.StatusCode}
        await context.abort(codes[code], message.decode())

    async def sleep(self, message, context):
        await asyncio.sleep(int(message) / 1000)
        return message

    async def counts(self, message, context):
        return f"{self.begun} {self.cancelled}".encode()

    async def metadata(self, message, context):
        came = dict(context.invocation_metadata())
        await context.send_initial_metadata((("x-lead", came["x-lead"]),))
        context.set_trailing_metadata((("x-trail-bin", came["x-trail-bin"]),))
        yield message

    async def down(self, message, context):
        count, size = map(int, message.split())
        for _ in range(count):
            yield b"x" * size

    async def up(self, messages, context):
        return str(sum([len(message) async for message in messages])).encode()

    async def both(self, messages, context):
        async for message in messages:
            yield message

    async def ticks(self, messages, context):
        """So many messages, so many milliseconds apart, whatever the client sends."""
        count, pause = map(int, (await anext(messages)).split())
        for tick in range(count):
            yield str(tick).encode()
            await asyncio.sleep(pause / 1000)

    async def takes(self, messages, context):
        """Answers the first message at once, and says at the end how many came."""
        count = 0
        async for message in messages:
            if count == 0:
                yield message
            count += 1
        yield str(count).encode()

    async def wait(self, messages, context):
        """Answers each message and ends only when it is cancelled."""
        self.begun += 1
        try:
            async for message in messages:
                yield message
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def serve(streams=None, cert=None, key=None):
    options = [("grpc.so_reuseport", 0)]
    if streams and int(streams):
        options.append(("grpc.max_concurrent_streams", int(streams)))
    if age := os.environ.get("MAX_CONNECTION_AGE_MS"):
        # Give or take a tenth; then GOAWAY in two steps, and calls in flight may end.
        options += [("grpc.max_connection_age_ms", int(age)), ("grpc.max_connection_age_grace_ms", 60_000)]
    server = grpc.aio.server(handlers=[Interop()], options=options)
    if cert:
        pair = open(key, "rb").read(), open(cert, "rb").read()
        # Not localhost: of its two addresses one may have that port taken already, and the other server answers there.
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print("listening", port, flush=True)
    await server.wait_for_termination()


class Cases:
    def __init__(self, channel):
        self.channel = channel

    def unary(self, method, message=b"", **more):
        return self.channel.unary_unary(SERVICE + method)(message, timeout=more.pop("timeout", PATIENCE), **more)

    def fails(self, code, text, call):
        try:
            call()
        except grpc.RpcError as error:
            assert error.code() == code, error
            assert text is None or error.details() == text, repr(error.details())
            return
        raise AssertionError(f"no {code}")

    def empty_unary(self):
        assert self.unary("Echo") == b""

    def large_unary(self):
        for message in (b"x" * 300_000, LARGE):
            assert self.unary("Echo", message) == message

    def client_streaming(self):
        messages = (b"x" * size for size in (27182, 8, 1828, 45904))
        assert self.channel.stream_unary(SERVICE + "Up")(messages, timeout=PATIENCE) == b"74922"

    def server_streaming(self):
        messages = self.channel.unary_stream(SERVICE + "Down")(b"40 30000", timeout=PATIENCE)
        assert [len(message) for message in messages] == [30000] * 40

    def ping_pong(self):
        gate = threading.Semaphore(1)

        def pings():
            for number in range(20):
                gate.acquire()
                yield b"ping %d" % number

        answers = self.channel.stream_stream(SERVICE + "Both")(pings(), timeout=PATIENCE)
        for number, answer in enumerate(answers):
            assert answer == b"ping %d" % number
            gate.release()
        assert number == 19

    def empty_stream(self):
        assert list(self.channel.stream_stream(SERVICE + "Both")(iter(()), timeout=PATIENCE)) == []

    def status_code_and_message(self):
        for code, text in (
            (grpc.StatusCode.UNKNOWN, "test status message"),
            (grpc.StatusCode.DATA_LOSS, WHITESPACE_AND_UNICODE),
        ):
            metadata = (("x-code", str(code.value[0])),)
            self.fails(code, text, lambda: self.unary("Status", text.encode(), metadata=metadata))

    def custom_metadata(self):
        binary = bytes(range(256))
        metadata = (("x-lead", "test_initial_metadata_value"), ("x-trail-bin", binary))
        call = self.channel.unary_stream(SERVICE + "Metadata")(b"m", metadata=metadata, timeout=PATIENCE)
        assert dict(call.initial_metadata())["x-lead"] == "test_initial_metadata_value"
        assert list(call) == [b"m"]
        assert dict(call.trailing_metadata())["x-trail-bin"] == binary

    def unimplemented_method(self):
        self.fails(grpc.StatusCode.UNIMPLEMENTED, None, lambda: self.unary("None"))

    def cancel_after_begin(self):
        self.cancel_after(messages=0)

    def cancel_after_first_response(self):
        self.cancel_after(messages=1)

    def cancel_after(self, messages):
        begun, cancelled = self.counts()
        done = threading.Event()

        def requests():
            yield from [b"m"] * messages
            done.wait(PATIENCE)

        call = self.channel.stream_stream(SERVICE + "Wait")(requests(), timeout=PATIENCE)
        self.wait(lambda: self.counts()[0] > begun)
        for _ in range(messages):
            assert next(call) == b"m"
        call.cancel()
        done.set()
        self.fails(grpc.StatusCode.CANCELLED, None, lambda: next(call))
        self.wait(lambda: self.counts()[1] > cancelled)

    def counts(self):
        return tuple(map(int, self.unary("Counts").split()))

    def wait(self, holds):
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.01)

    def deadline_exceeded(self):
        self.fails(grpc.StatusCode.DEADLINE_EXCEEDED, None, lambda: self.unary("Sleep", b"60000", timeout=0.3))

    def still_answers(self):
        assert self.unary("Echo", b"on") == b"on"


def call(target, ca=None):
    if ca:
        credentials = grpc.ssl_channel_credentials(open(ca, "rb").read())
        channel = grpc.secure_channel(target, credentials)
    else:
        channel = grpc.insecure_channel(target)
    with channel:
        cases = Cases(channel)
        for name in (
            "empty_unary large_unary client_streaming server_streaming ping_pong empty_stream "
            "status_code_and_message custom_metadata unimplemented_method cancel_after_begin "
            "cancel_after_first_response deadline_exceeded still_answers"
        ).split():
            try:
                getattr(cases, name)()
                print("ok", name, flush=True)
            except Exception as error:  # the others are run all the same
                print("FAILED", name, type(error).__name__, str(error).replace("\n", " "), flush=True)


if sys.argv[1] == "serve":
    asyncio.run(serve(*sys.argv[2:]))
else:
    call(*sys.argv[2:])
