#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""http_server.py FOLDER LOG: serves FOLDER on 127.0.0.1 until it is killed; prints its port, and to LOG a line a request:
path, Range, status. Paths begin with how the server behaves: /ranges/ (RFC 9110, section 14),
/whole/ (ignores Range), /broken/ (as ranges, but ends after half of what was asked for when asked for a beginning)."""
import http.server
import os
import sys

folder, log = sys.argv[1:3]


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_GET(self):
        _, manner, name = self.path.split("/", 2)
        path = os.path.join(folder, name)
        wanted = self.headers.get("Range")
        begin, status, content = 0, 200, b""
        if not os.path.isfile(path):
            status = 404
        else:
            with open(path, "rb") as file:
                content = file.read()
            if wanted and manner != "whole":
                begin = int(wanted.split("=")[1].split("-")[0])
                status = 206 if begin < len(content) else 416
        with open(log, "a") as file:
            file.write("%s %s %d\n" % (self.path, wanted, status))
        self.send_response(status)
        body = content[begin:] if status < 400 else b""
        if status == 206:
            self.send_header("Content-Range", "bytes %d-%d/%d" % (begin, len(content) - 1, len(content)))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if manner == "broken" and begin == 0:
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
