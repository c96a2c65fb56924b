# two more queues and an event beside the pair
import queue
from multiprocessing.managers import BaseManager

NAMES = ('get_job_q', 'get_result_q', 'get_found_q', 'get_log_q', 'get_stop_event')
class QueueManager(BaseManager): pass
for name in NAMES: QueueManager.register(name)
m = QueueManager(address=('127.0.0.1', 5000), authkey=b'abc'); m.connect()
job, result, found, log, stop = (getattr(m, name)() for name in NAMES)
while not stop.is_set():
    try:
        n = job.get(timeout=0.1)
    except queue.Empty:
        continue
    result.put(n * n)
    found.put([n])
    log.put('did %d' % n)
print('stopped', stop.wait(), found.qsize(), log.get_nowait())
