# one thread takes the tasks, another answers
import queue, threading
from multiprocessing.managers import BaseManager

class QueueManager(BaseManager): pass
QueueManager.register('get_task_queue'); QueueManager.register('get_result_queue')
m = QueueManager(address=('127.0.0.1', 5000), authkey=b'abc'); m.connect()
task, result = m.get_task_queue(), m.get_result_queue()
inside = queue.Queue()

def answer():
    while True:
        url = inside.get()
        if url is None:
            return
        result.put('%s answered' % url)

thread = threading.Thread(target=answer)
thread.start()
while True:
    try:
        inside.put(task.get(True, timeout=1))
    except queue.Empty:
        break
inside.put(None)
thread.join()
