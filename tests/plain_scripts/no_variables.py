# the proxies are made anew for each call
import queue
from multiprocessing.managers import BaseManager

class QueueManager(BaseManager): pass
QueueManager.register('get_task_queue'); QueueManager.register('get_result_queue')
m = QueueManager(address=('127.0.0.1', 5000), authkey=b'abc'); m.connect()
while True:
    try:
        url = m.get_task_queue().get(True, timeout=1)
    except queue.Empty:
        break
    m.get_result_queue().put('%s done' % url)
