"""What the child keeps of a feed of which part is given back before it has begun."""

import importlib
import io
import pickle
from types import SimpleNamespace

from dqlab.client.pickling import dump_function
from dqlab.wire.messages import Header, Lease
from dqlab.worker.child import _Child
from dqlab.worker.shared_numbers import LIMIT

ran: list[str] = []


def note(what):
    importlib.import_module(__name__).ran.append(what)


def job(base, first, payload):
    items = None if payload is None else pickle.dumps([payload])
    header = Header(kind="map", function="digest")
    lease = Lease(token=1, first=first, lo=0, hi=1, attempt=1, careful=False, header=header, payload=items)
    return base, lease.encode()


def test_a_payload_given_back_unbegun_and_leased_again_is_still_known():
    numbers = [0] * 8
    silent = SimpleNamespace(end_task=lambda: None)
    child = _Child(io.BytesIO(), io.BytesIO(), SimpleNamespace(numbers=numbers), silent)
    _, pickled, _ = dump_function(note)

    numbers[LIMIT] = 1  # the second job was given back
    child._run_jobs([job(0, 10, "first"), job(1, 20, "second")], {"digest": pickled})
    assert ran == ["first"]

    numbers[LIMIT] = 1  # it comes again; the worker has sent its payload once already
    child._run_jobs([job(0, 20, None)], {})
    assert ran == ["first", "second"]
