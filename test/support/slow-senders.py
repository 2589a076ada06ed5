"""
Callers that hold connections: each sends the same bytes, again and again or once, and reads little or nothing of what it
is answered. Those that are cut off are followed by others. As over a network, not as on one machine: packets of a
network's size, and a small buffer for what is received, so that what a caller does not read fills up at the other end.

Usage: slow-senders.py <port> <connections> <opened a second> <seconds> <file with the bytes> [--again SECONDS] [--read]
--again: sends once more after so long (0: as soon as the other end takes it); else once. --read: reads all answers.
Prints JSON when it ends: connections opened, cut off by the other end, bytes sent and received.
"""

import argparse
import errno
import json
import select
import socket
import time

NETWORK_PACKET = 1460
RECEIVED = 4096
STEP = 0.01


def options():
    parser = argparse.ArgumentParser()
    for name in ("port", "connections", "rate", "seconds"):
        parser.add_argument(name, type=int)
    parser.add_argument("file")
    parser.add_argument("--again", type=float)
    parser.add_argument("--read", action="store_true")
    return parser.parse_args()


class Senders:
    def __init__(self, args, payload):
        self.args = args
        self.payload = payload
        self.poll = select.epoll()
        self.open = {}
        self.due = []
        self.told = {"opened": 0, "cut": 0, "sent": 0, "received": 0}

    def connect(self):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, NETWORK_PACKET)
        one.setblocking(False)
        if one.connect_ex(("127.0.0.1", self.args.port)) not in (0, errno.EINPROGRESS):
            one.close()
            return
        self.open[one.fileno()] = [one, self.payload, False]
        self.poll.register(one, self.events(True))

    def events(self, writing):
        reading = select.EPOLLIN if self.args.read else 0
        return reading | select.EPOLLRDHUP | (select.EPOLLOUT if writing else 0)

    def close(self, number):
        one, _, connected = self.open.pop(number)
        self.poll.unregister(one)
        one.close()
        self.told["cut"] += connected

    def send(self, number):
        entry = self.open[number]
        one, left, connected = entry
        if not connected:
            entry[2] = True
            self.told["opened"] += 1
        try:
            sent = one.send(left)
        except BlockingIOError:
            return
        self.told["sent"] += sent
        entry[1] = left[sent:]
        if entry[1]:
            return
        again = self.args.again
        if again == 0:
            entry[1] = self.payload
            return
        self.poll.modify(one, self.events(False))
        if again is not None:
            self.due.append((time.monotonic() + again, number, one))

    def receive(self, number):
        data = self.open[number][0].recv(65536)
        self.told["received"] += len(data)
        if not data:
            self.close(number)

    def repeat(self):
        now = time.monotonic()
        while self.due and self.due[0][0] <= now:
            _, number, one = self.due.pop(0)
            if self.open.get(number, [None])[0] is not one:
                continue
            self.open[number][1] = self.payload
            self.poll.modify(one, self.events(True))

    def step(self):
        for number, event in self.poll.poll(STEP):
            try:
                if event & (select.EPOLLERR | select.EPOLLHUP):
                    self.close(number)
                elif event & select.EPOLLIN:
                    self.receive(number)
                elif event & select.EPOLLRDHUP:
                    self.close(number)
                elif event & select.EPOLLOUT:
                    self.send(number)
            except OSError:
                self.close(number)
        self.repeat()

    def run(self):
        end = time.monotonic() + self.args.seconds
        allowance = 0.0
        before = time.monotonic()
        while (now := time.monotonic()) < end:
            allowance = min(allowance + (now - before) * self.args.rate, self.args.rate / 5)
            before = now
            while allowance >= 1 and len(self.open) < self.args.connections:
                self.connect()
                allowance -= 1
            self.step()
        print(json.dumps(self.told))


def main():
    args = options()
    with open(args.file, "rb") as file:
        Senders(args, file.read()).run()


main()
