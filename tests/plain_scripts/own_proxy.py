# a proxy class of its own, of which the methods are written down
from multiprocessing.managers import BaseManager, BaseProxy

class QueueProxy(BaseProxy):
    _exposed_ = ('put', 'get', 'qsize')
    def put(self, item): return self._callmethod('put', (item,))
    def get(self, *args): return self._callmethod('get', args)
    def __len__(self): return self._callmethod('qsize')

class QueueManager(BaseManager): pass
QueueManager.register('get_task_queue', proxytype=QueueProxy)
QueueManager.register('get_result_queue', exposed=['put', 'get', 'qsize'])
m = QueueManager(address=('127.0.0.1', 5000), authkey=b'abc'); m.connect()
task, result = m.get_task_queue(), m.get_result_queue()
while len(task):
    result.put(task.get(True, 1) ** 2)
