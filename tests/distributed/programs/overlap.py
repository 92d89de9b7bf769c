"""Looks when the all-reduce of each bucket begins: as soon as its gradients are complete."""

import tinycnn
from tinycnn import distributed, nn
from tinycnn.distributed import buckets

distributed.init_process_group(timeout=20)
seen = []


class Bucket(buckets.Bucket):
    def start(self, samples):
        seen.append("start")
        super().start(samples)


buckets.Bucket = Bucket
net = nn.Sequential(*[nn.Linear(64, 64) for _ in range(6)])
model = nn.parallel.DistributedDataParallel(net, bucket_cap_mb=0.02)
for i, layer in enumerate(net):
    layer.weight.register_hook(lambda gradient, i=i: seen.append(i))
for _ in range(2):
    seen.clear()
    model(tinycnn.randn(4, 64)).sum().backward()
    assert seen == [5, 4, "start", 3, 2, "start", 1, 0, "start"], seen
    assert all(p.grad._array.base is not None for p in net.parameters())
distributed.destroy_process_group()
