"""Training batches that other hosts decode: the server of such a host, and what a trainer asks of several.

A batch is a function of the step, so a server keeps nothing of a trainer: a request (HTTP, a JSON object without
passwords) says which batch of which images, the answer is its arrays, one after the other. tf.data's own service cannot
be told the step to begin with, and its client goes on waiting for a server that was killed and is back.
"""

import http.client
import json
import logging
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from simsiam_tf.data.order import EpochOrder
from simsiam_tf.data.pipeline import Batches
from simsiam_tf.errors import InputError

log = logging.getLogger("simsiam_tf.data")

TYPES = dict.fromkeys(("batch_size", "seed", "part", "parts"), int) | {"with_labels": bool, "with_rows": bool}
PATIENCE = 3600  # seconds that a trainer waits for any server, as workers wait for each other
TIMEOUT = 60  # seconds after which a server that says nothing counts as gone
REST = 60  # seconds that such a server is not asked again while there are others
RETRY = 2  # seconds between two rounds of attempts


def described(image_set):
    """What two hosts must have in common to decode the same batches: number and names of the images, their shape."""
    return {
        "images": len(image_set),
        "shape": list(image_set.image_shape),
        "sizes": image_set.sized,
        "names": image_set.fingerprint().hex(),
    }


class BatchServer:
    """Makes the training batches of a set for whoever asks.

    Args:
        image_set: ImageSet.
        port: 0: a free one.

    Attributes:
        port: The port it listens at.
    """

    def __init__(self, image_set, port=0):
        self._images, self._has = image_set, described(image_set)
        self._orders, self._lock = {}, threading.Lock()
        self._http = ThreadingHTTPServer(("", port), _handler(self))
        self.port = self._http.server_port

    def run(self):
        """Answer requests; returns when another thread calls `close`."""
        self._http.serve_forever()

    def close(self):
        self._http.shutdown()
        self._http.server_close()

    def batch(self, asked):
        """The arrays of one batch.

        Raises:
            InputError: the trainer has other images or another version, or `Batches` refuses.
        """
        asked = dict(asked) if isinstance(asked, dict) else {}
        theirs, step = asked.pop("set", None), asked.pop("step", None)
        if {name: type(value) for name, value in asked.items()} != TYPES or type(step) is not int or step < 0:
            raise InputError("request: of another version; install the same one on all hosts")
        if theirs != self._has:
            raise InputError(
                f"images: this server has {self._has['images']} images of shape {tuple(self._has['shape'])} that are "
                "not those of the trainer; give both the same data, names and settings, data.memory_limit_gb among them"
            )
        return Batches(self._images, **asked, order=self._order(asked["batch_size"], asked["seed"]))(step)

    def _order(self, batch_size, seed):
        """One for all parts, whose permutations it keeps."""
        with self._lock:
            if (batch_size, seed) not in self._orders and 1 <= batch_size <= len(self._images):
                self._orders = {(batch_size, seed): EpochOrder(len(self._images), batch_size, seed)}
            return self._orders.get((batch_size, seed))


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            try:
                asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
                code, parts = 200, [np.ascontiguousarray(each).data.cast("B") for each in server.batch(asked)]
            except (InputError, ValueError) as error:
                code, parts = 400, [memoryview(str(error).encode())]
            self.send_response(code)
            self.send_header("Content-Length", str(sum(map(len, parts))))
            self.end_headers()
            for part in parts:
                self.wfile.write(part)

        def log_message(self, *_):
            pass  # not a line for each batch

    return Handler


class Servers:
    """The servers that make a trainer's batches: each every n-th, and in place of one that does not answer another.

    Args:
        addresses: "host:port" of `simsiam-tf serve`.
        image_set: the trainer's, as it was loaded.
        patience: seconds to wait for servers when none answers.
    """

    def __init__(self, addresses, image_set, patience=PATIENCE):
        self.addresses, self._set, self._patience = tuple(addresses), described(image_set), patience
        self._rests = {}  # until when one that is gone is not asked

    def batches(self, specs, what):
        """A function of the step that gives what `Batches` with these arguments would, of these specs."""
        asked = what | {"set": self._set}
        ends = np.cumsum([np.prod(shape) * np.dtype(dtype).itemsize for dtype, shape in specs.values()])

        def batch(step):
            content = memoryview(self._fetch(asked | {"step": int(step)}, int(ends[-1])))
            return [
                np.frombuffer(content[end - np.prod(shape) * np.dtype(dtype).itemsize : end], dtype).reshape(shape)
                for end, (dtype, shape) in zip(ends, specs.values(), strict=True)
            ]

        return batch

    def _fetch(self, asked, size):
        """The bytes of an answer.

        Raises:
            InputError: a server refuses, or none has answered for so long.
        """
        first, deadline, said = asked["step"], time.monotonic() + self._patience, False
        while True:
            turns = [self.addresses[(first + i) % len(self.addresses)] for i in range(len(self.addresses))]
            for address in sorted(turns, key=lambda each: self._rests.get(each, 0) > time.monotonic()):
                try:
                    return _ask(address, json.dumps(asked), size)
                except (OSError, http.client.HTTPException) as error:
                    self._rests[address], last = time.monotonic() + REST, f"{address} does not answer ({error})"
            if time.monotonic() > deadline:
                raise InputError(f"data.service: {last}; start simsiam-tf serve there")
            if not said:
                log.warning("data.service: %s; waiting", last)
                said = True
            time.sleep(RETRY)


def _ask(address, asked, size):
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT)
    try:
        connection.request("POST", "/", asked)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status == 400:
        raise InputError(f"data.service: {address}: {content.decode(errors='replace')}")
    if response.status != 200 or len(content) != size:
        raise http.client.HTTPException(f"status {response.status}, {len(content)} bytes")
    return content
