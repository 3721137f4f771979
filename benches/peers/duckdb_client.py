"""Runs DuckDB for the bench. A request is a line of JSON, and so is its answer:
how many nanoseconds each execution took, or the error."""

import json
import sys
import threading
import time

import duckdb

connection = duckdb.connect(sys.argv[1])


def timed(cursor, text):
    start = time.perf_counter_ns()
    cursor.execute(text)
    cursor.fetchall()
    return time.perf_counter_ns() - start


def asked(request):
    cursor = connection.cursor()
    if request.get("warm", True):
        timed(cursor, request["text"])
    return [timed(cursor, request["text"]) for _ in range(request["repeats"])]


def crowd(request):
    times = []
    end = time.monotonic() + request["seconds"]

    def loop():
        cursor = connection.cursor()
        while True:
            times.append(timed(cursor, request["text"]))
            if time.monotonic() >= end:
                return

    threads = [threading.Thread(target=loop) for _ in range(request["clients"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"ns": crowd(request) if "clients" in request else asked(request)}
    except Exception as error:
        answer = {"error": str(error)}
    print(json.dumps(answer), flush=True)
