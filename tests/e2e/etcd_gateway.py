# SPDX-License-Identifier: Apache-2.0
"""A gateway in front of a real etcd that answers as it is told: in pieces, with errors, or nonsense."""
import http.client
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Gateway:
    """Passes everything on, but for what these say:
      piece      bytes of an answer that are sent at a time; 0: all at once
      answer     function(path, body) -> (status, bytes) or None to pass on
      watch      function(send, passed) called for a watch instead of passing it on: send(bytes) sends a piece
    """

    def __init__(self, port):
        self.target = port
        self.piece = 0
        self.answer = lambda path, body: None
        self.watch = None
        self.asked = []  # (path, headers)
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format, *args):
                pass

            def do_GET(self):
                gateway.serve(self, None)

            def do_POST(self):
                gateway.serve(self, self.rfile.read(int(self.headers["Content-Length"])))

        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # one that does not fit is tried again after a second, which others take for a failure

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda request, address: None  # clients hang up, that is what tests do
        self.port = self.server.server_port
        self.url = "http://127.0.0.1:%d" % self.port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def end(self):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, handler, body):
        self.asked.append((handler.path, dict(handler.headers)))
        own = self.answer(handler.path, body)
        if own:
            self.plain(handler, *own)
        elif handler.path.endswith("/watch"):
            self.stream(handler, body)
        else:
            status, answer = self.ask(handler, body)
            self.plain(handler, status, answer)

    def ask(self, handler, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=20)
        try:
            connection.request(handler.command, handler.path, body)
            got = connection.getresponse()
            return got.status, got.read()
        finally:
            connection.close()

    def write(self, handler, data):
        if not self.piece:
            handler.wfile.write(data)
            handler.wfile.flush()
            return
        for at in range(0, len(data), self.piece):
            handler.wfile.write(data[at:at + self.piece])
            handler.wfile.flush()
            time.sleep(0.0001)  # so that they come as packets of their own

    def plain(self, handler, status, answer):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        self.write(handler, answer)

    def stream(self, handler, body):
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()

        def send(data):
            self.write(handler, b"%x\r\n%s\r\n" % (len(data), data))

        def passed():
            connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=60)
            connection.request("POST", handler.path, body)
            got = connection.getresponse()
            while True:
                data = got.read1(65536)
                if not data:
                    return
                send(data)
        (self.watch or (lambda send, passed: passed()))(send, passed)
        handler.wfile.write(b"0\r\n\r\n")
        handler.wfile.flush()
