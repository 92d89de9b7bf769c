"""Idioms: what else is typed from memory, of data and files."""

from tests.idioms.idiom import Subject

files = Subject("Data and files, from memory")
files.same("torch.utils.data by other paths", """
    a = torch.utils.data.sampler.SubsetRandomSampler([1, 2]); b = sorted(a)
    c = torch.utils.data.dataloader.default_collate([torch.ones(1), torch.zeros(1)])
    d = len(torch.utils.data.dataset.Subset([1, 2, 3], [0]))
""")
files.same("a loader over a list of pairs", """
    data = [(torch.ones(2) * i, i) for i in range(4)]
    loader = torch.utils.data.DataLoader(data, batch_size=2, shuffle=False)
    out = [(x.shape, y.tolist()) for x, y in loader]; n = len(loader)
""")
files.same("zip and cycle of loaders", """
    from itertools import cycle, islice
    a, b = DataLoader([1, 2, 3, 4], batch_size=2), DataLoader([5, 6], batch_size=2)
    s = [(x + y).tolist() for x, y in zip(a, cycle(b))]; first = next(iter(a)); it = iter(a)
    p, q = next(it), next(it)
""")
files.same("worker_init_fn, timeout and multiprocessing_context are taken", """
    loader = DataLoader(
        [1, 2],
        batch_size=1,
        num_workers=0,
        worker_init_fn=lambda i: None,
        timeout=0,
        pin_memory=False,
        drop_last=True,
    )
    n = len(loader)
""")
files.same("an own sampler", """
    class Even(torch.utils.data.Sampler):
        def __init__(self, n):
            self.n = n
        def __iter__(self):
            return iter(range(0, self.n, 2))
        def __len__(self):
            return (self.n + 1) // 2
    xs = [x.tolist() for x in DataLoader(list(range(5)), batch_size=2, sampler=Even(5))]
""")
files.same("numbers, strings and None in a batch", """
    b = next(iter(DataLoader([(1, 2.5, 'a'), (3, 4.5, 'b')], batch_size=2)))
    d = next(iter(DataLoader([{'id': 'x', 'v': 1.0}, {'id': 'y', 'v': 2.0}], batch_size=2)))
""")
files.same("a split into training and validation by indices", """
    idx = list(range(10)); train, val = Subset(idx, idx[:8]), Subset(idx, idx[8:]); n, m = len(train), len(val)
    x = [v for b in DataLoader(val, 2) for v in b.tolist()]
""")
files.same("k folds", """
    n, k = 6, 3; X = torch.arange(12.0).view(6, 2); folds = []
    for i in range(k):
        idx = slice(i * n // k, (i + 1) * n // k); valid = X[idx]
        train = torch.cat([X[:idx.start], X[idx.stop:]], 0)
        folds.append((valid.sum().item(), train.sum().item()))
""")
files.same("minibatches by permutation", """
    X = torch.arange(10).view(5, 2); perm = torch.randperm(5)
    batches = [X[perm[i:i + 2]] for i in range(0, 5, 2)]; s = torch.cat(batches).sum()
""", draws="perm batches")
files.same("a state saved on cpu", """
    net = fixed(nn.Linear(2, 1)); torch.save({k: v.cpu() for k, v in net.state_dict().items()}, 'm.pth')
    state = torch.load('m.pth', map_location=lambda storage, loc: storage); w = state['weight']; del state
""")
files.same("an OrderedDict and nested containers in a file", """
    from collections import OrderedDict
    d = OrderedDict(a=torch.ones(1), b=[torch.zeros(2), {'c': (1, 'x', None, True, 2.5)}])
    torch.save(d, 'd.pt'); e = torch.load('d.pt'); t = type(e).__name__
""")
files.same("views saved share memory again", """
    x = torch.zeros(4); torch.save([x, x[:2]], 'v.pt'); a, b = torch.load('v.pt'); b[0] = 5; s = a[0].item()
""")
files.same("the best checkpoint is kept", """
    best = 0.0; saved = []
    for epoch, acc in enumerate([0.3, 0.5, 0.4]):
        if acc > best:
            best = acc
            torch.save({'epoch': epoch, 'acc': acc, 'state': fixed(nn.Linear(1, 1)).state_dict()}, 'best.pth')
            saved.append(epoch)
    ck = torch.load('best.pth'); e = ck['epoch']; del ck
""")
files.same("metrics by NumPy after .cpu().numpy()", """
    y, p = torch.tensor([0, 1, 1]), torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    pred = p.argmax(1).cpu().numpy(); acc = (pred == y.numpy()).mean(); cm = np.zeros((2, 2), int)
    np.add.at(cm, (y.numpy(), pred), 1); all_p = np.concatenate([pred, pred]); l = pred.tolist()
""")
