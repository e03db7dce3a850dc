"""Processes that find each other before JAX starts; here they are threads."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from experiments.runtime.meeting import meet


def free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def meet_all(*processes, port=None, seconds=20.0):
    """What each of the (process, count) gets: None, or its error."""
    address = f"localhost:{port or free_port()}"
    # Each may come first.
    waits = iter((0.0, 0.3, 0.1, 0.2))

    def one(numbers, wait):
        time.sleep(wait)
        try:
            meet(address, process=numbers[0], count=numbers[1], seconds=seconds)
        except ValueError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(len(processes)) as pool:
        return list(pool.map(one, processes, waits))


def test_all_come_in_any_order():
    assert meet_all((1, 3), (0, 3), (2, 3)) == [None] * 3


def test_one_process_alone_has_nobody_to_wait_for():
    assert meet_all((0, 1)) == [None]


def test_who_came_is_said_to_all_of_them():
    found = meet_all((0, 4), (2, 4), seconds=1.5)
    assert len(set(found)) == 1
    assert "2 of 4 processes came within 1.5 s; missing: 1, 3" in found[0]
    assert "--start_timeout" in found[0]


def test_process_0_does_not_come():
    (error,) = meet_all((1, 2), seconds=0.5)
    assert "process 0 did not answer there for 0.5 s" in error


def test_two_of_the_same_number():
    found = meet_all((0, 3), (1, 3), (1, 3), seconds=3.0)
    assert "two processes say that they are 1/3" in found[0]
    assert any("1/3" in error for error in found[1:])


def test_different_counts():
    found = meet_all((0, 3), (1, 2))
    assert found[0] == found[1]
    assert "process 0 is one of 3 processes, process 1 of 2" in found[0]


def test_a_port_that_is_taken():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        (error,) = meet_all((0, 2), port=port)
    assert f"--coordinator=localhost:{port}: process 0 cannot listen at this port" in error
    assert "in use" in error


def test_something_else_answers_at_the_port():
    with socket.create_server(("localhost", 0)) as server:

        def answer():
            connection = server.accept()[0]
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        (error,) = meet_all((1, 2), port=server.getsockname()[1])
        thread.join()
    assert "no process of a run" in error


def test_process_0_is_not_misled_by_strangers():
    port, done = free_port(), []

    def strangers():
        for text in (b"GET / HTTP/1.1\r\n\r\n", b'{"process": "one", "count": 2}\n', b""):
            while True:
                try:
                    with socket.create_connection(("localhost", port)) as connection:
                        connection.sendall(text)
                    break
                except OSError:
                    time.sleep(0.05)
        done.append(meet_all((1, 2), port=port))

    thread = threading.Thread(target=strangers)
    thread.start()
    assert meet_all((0, 2), port=port) == [None]
    thread.join()
    assert done == [[None]]


def test_a_process_that_was_started_again_is_not_taken_for_two():
    port = free_port()

    def leaves_at_once():
        while True:
            try:
                with socket.create_connection(("localhost", port)) as connection:
                    connection.sendall(b'{"process": 1, "count": 3}\n')
                return
            except OSError:
                time.sleep(0.05)

    thread = threading.Thread(target=leaves_at_once)
    thread.start()
    assert meet_all((0, 3), (1, 3), (2, 3), port=port) == [None] * 3
    thread.join()
