"""Idioms: data; saving and loading."""

from tests.idioms.idiom import Subject

data = Subject("Data")
OWN = """
class Numbers(Dataset):
    def __init__(self, n):
        self.x = torch.arange(float(n)).view(n, 1)
        self.y = torch.arange(n) % 2
    def __len__(self):
        return len(self.x)
    def __getitem__(self, i):
        return self.x[i], self.y[i]
"""
data.same("an own Dataset", """
    loader = DataLoader(Numbers(5), batch_size=2); n = len(loader); batches = [(x, y) for x, y in loader]
    size = len(loader.dataset)
""", before=OWN)
data.same("TensorDataset", """
    ds = TensorDataset(torch.arange(4.0), torch.arange(4)); a, b = ds[1]; n = len(ds)
    batches = list(DataLoader(ds, batch_size=3)); t = ds.tensors[0]
""")
data.same("shuffle covers all", """
    xs = torch.cat([x for x, in DataLoader(TensorDataset(torch.arange(10)), batch_size=3, shuffle=True)])
    s = xs.sort()[0]
""", draws="xs x")
data.same("a shuffled loader with a seeded generator", """
    ds = TensorDataset(torch.arange(6))
    a = [x.tolist() for x, in DataLoader(ds, 2, shuffle=True, generator=torch.Generator().manual_seed(0))]
    b = [x.tolist() for x, in DataLoader(ds, 2, shuffle=True, generator=torch.Generator().manual_seed(0))]
    same = a == b; n = len(a); a = b = x = 0
""")
data.same("drop_last, batch_size=1, None", """
    ds = TensorDataset(torch.arange(5)); a = [x for x, in DataLoader(ds, batch_size=2, drop_last=True)]
    b = len(DataLoader(ds, batch_size=2, drop_last=True)); c = len(DataLoader(ds))
    d = [x for x in DataLoader(torch.arange(3), batch_size=None)]
""")
data.same("workers and pinned memory", """
    loader = DataLoader(Numbers(4), batch_size=2, shuffle=False, num_workers=0, pin_memory=torch.cuda.is_available())
    xs = [x for x, _ in loader]
""", before=OWN)
data.same("num_workers=2 and persistent_workers", """
    loader = DataLoader(
        TensorDataset(torch.arange(4)), batch_size=2, num_workers=2, persistent_workers=True, prefetch_factor=2
    )
    xs = [x for x, in loader]
""")
data.same("a list as a data set", """
    batches = [b for b in DataLoader([1, 2, 3], batch_size=2)]
    pairs = list(DataLoader([(1.0, 'a'), (2.0, 'b')], batch_size=2))
    arrays = list(DataLoader(np.arange(4).reshape(2, 2), batch_size=2))
""")
data.same("items that are dictionaries", """
    ds = [{'image': torch.ones(2) * i, 'label': i} for i in range(4)]
    b = next(iter(DataLoader(ds, batch_size=2))); k = sorted(b)
""")
data.same("collate_fn", """
    def collate(items):
        return [i for i, _ in items], torch.tensor([j for _, j in items])
    ds = [(torch.ones(i + 1), i) for i in range(3)]
    a, b = next(iter(DataLoader(ds, batch_size=3, collate_fn=collate)))
""")
data.same("default_collate", """
    from_items = torch.utils.data.default_collate([(1, torch.ones(2)), (2, torch.zeros(2))])
""")
data.same("torch.utils.data spelled out", """
    ds = torch.utils.data.TensorDataset(torch.arange(4))
    loader = torch.utils.data.DataLoader(ds, batch_size=2, shuffle=False); xs = [x for x, in loader]
    d = isinstance(ds, torch.utils.data.Dataset); s = torch.utils.data.Subset(ds, [0, 3])[1]
""")
data.same("random_split", """
    a, b = random_split(TensorDataset(torch.arange(10)), [7, 3], generator=torch.Generator().manual_seed(42))
    n, m = len(a), len(b); all_ = sorted(int(i) for i in [*a.indices, *b.indices])
    fractions = [len(p) for p in random_split(range(10), [0.8, 0.2])]
""")
data.same("Subset", """
    s = Subset(TensorDataset(torch.arange(5)), [4, 0]); n = len(s); a = s[0]; i = [int(i) for i in s.indices]
    b = next(iter(DataLoader(s, batch_size=2)))
""")
data.same("ConcatDataset", """
    c = ConcatDataset([TensorDataset(torch.arange(2)), TensorDataset(torch.arange(3))]); n = len(c); a = c[3]
    d = TensorDataset(torch.arange(2)) + TensorDataset(torch.arange(1)); m = len(d)
""")
data.same("samplers", """
    ds = TensorDataset(torch.arange(6)); a = [x for x, in DataLoader(ds, 2, sampler=SequentialSampler(ds))]
    b = sorted(SubsetRandomSampler([1, 3])); c = len(RandomSampler(ds))
    d = len(DataLoader(ds, sampler=SubsetRandomSampler([0, 1, 2])))
""")
data.same("WeightedRandomSampler", """
    s = torch.utils.data.WeightedRandomSampler([0.0, 1.0], num_samples=4, replacement=True); i = list(s)
    n = len(s)
""")
data.same("BatchSampler, batch_sampler", """
    b = torch.utils.data.BatchSampler(SequentialSampler(range(5)), batch_size=2, drop_last=False)
    lists = list(b); xs = [x for x, in DataLoader(TensorDataset(torch.arange(5)), batch_sampler=b)]
""")
data.same("IterableDataset", """
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(range(5))
    xs = list(DataLoader(Stream(), batch_size=2))
""")
data.same("next(iter(loader))", """
    images, labels = next(iter(DataLoader(Numbers(4), batch_size=4))); s = images.shape
""", before=OWN)
data.same("enumerate(loader, 0)", """
    seen = []
    for i, data in enumerate(DataLoader(Numbers(4), batch_size=2), 0):
        inputs, labels = data
        seen.append((i, inputs.sum().item(), labels))
""", before=OWN)
data.same("attributes of a loader", """
    loader = DataLoader(TensorDataset(torch.arange(5)), batch_size=2); a = loader.batch_size
    b = len(loader.dataset); c = loader.drop_last; d = loader.num_workers
""")
data.same("an error in a data set comes through", """
    class Bad(Dataset):
        def __len__(self):
            return 2
        def __getitem__(self, i):
            raise KeyError('no such image')
    list(DataLoader(Bad()))
""", raises="KeyError")
data.same("batch_size of 0", "DataLoader([1, 2], batch_size=0)", raises="ValueError")
PIC = """
from PIL import Image
img = Image.fromarray((np.arange(48).reshape(4, 4, 3) * 5).astype(np.uint8))
gray = Image.fromarray((np.arange(30).reshape(5, 6) * 8).astype(np.uint8))
"""


def vision(title: str, code: str, **options: str) -> None:
    data.same(title, code, before=PIC, vision=True, **options)


vision("ToTensor", """
    x = transforms.ToTensor()(img); y = transforms.ToTensor()(gray)
    z = transforms.ToTensor()(np.ones((2, 3, 1), np.uint8) * 255)
    a = transforms.ToTensor()(np.ones((2, 3), np.float32))
""")
vision("Compose, Normalize", """
    t = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))])
    x = t(img)
    y = transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])(torch.ones(3, 2, 2))
""")
vision("Resize, CenterCrop", """
    x = transforms.ToTensor()(transforms.Resize((8, 8))(gray))
    y = transforms.ToTensor()(transforms.CenterCrop(3)(gray)); z = transforms.Resize(10)(gray).size
""")
vision("Pad, Lambda", """
    x = transforms.ToTensor()(transforms.Pad(2)(gray)); y = transforms.Lambda(lambda v: v * 2)(torch.ones(2))
""")
vision("random crops and flips", """
    t = transforms.Compose(
        [transforms.RandomCrop(4, padding=1), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    )
    x = t(gray); y = transforms.RandomHorizontalFlip(p=1.0)(transforms.ToTensor()(gray))
""", draws="x")
vision("RandomRotation, ColorJitter, RandomResizedCrop, Grayscale", """
    a = transforms.RandomResizedCrop(4)(gray).size; b = transforms.RandomRotation(10)(gray).size
    c = transforms.ToTensor()(transforms.Grayscale()(img))
    d = transforms.RandomVerticalFlip(p=1.0)(torch.arange(4.0).view(1, 2, 2))
""")
vision("ToPILImage", """
    p = transforms.ToPILImage()(torch.ones(1, 2, 3)); s = p.size; m = p.mode
    a = np.array(transforms.ToPILImage()(torch.full((3, 2, 2), 0.5)))
""")
vision("make_grid", """
    g = make_grid(numbers(4, 1, 3, 3), nrow=2)
    n = make_grid(numbers(4, 3, 2, 2), nrow=4, normalize=True, padding=1)
    v = make_grid(numbers(2, 3, 2, 2), normalize=True, value_range=(-1, 1))
""")
vision("save_image", """
    save_image(torch.rand(4, 1, 3, 3), 'out.png', nrow=2); ok = os.path.exists('out.png')
    s = Image.open('out.png').size
    save_image(torch.linspace(0, 1, 12).view(1, 3, 2, 2), 'one.png', normalize=True)
    a = np.array(Image.open('one.png'))
""")
vision("FakeData and a loader", """
    class Pics(Dataset):
        def __len__(self):
            return 3
        def __getitem__(self, i):
            return transforms.ToTensor()(gray), i
    x, y = next(iter(DataLoader(Pics(), batch_size=3)))
""")

file = Subject("Saving and loading")
file.same("a state_dict in a file", """
    net, other = fixed(nn.Linear(3, 2)), nn.Linear(3, 2); torch.save(net.state_dict(), 'net.pt')
    other.load_state_dict(torch.load('net.pt')); w = other.weight
""")
file.same("a file named .pth", """
    net = fixed(nn.Conv2d(1, 2, 3)); torch.save(net.state_dict(), 'net.pth')
    state = torch.load('net.pth', map_location='cpu', weights_only=True); k = list(state); w = state['weight']
""")
file.same("map_location of a device", """
    torch.save({'a': torch.ones(2)}, 'a.pt'); d = torch.load('a.pt', map_location=torch.device('cpu'))
    x = d['a']; e = torch.load('a.pt', map_location=lambda storage, loc: storage)
""")
file.same("a checkpoint", """
    net = fixed(nn.Linear(2, 2)); opt = optim.Adam(net.parameters(), lr=0.1)
    net(torch.ones(1, 2)).sum().backward(); opt.step()
    torch.save(
        {
            'epoch': 5,
            'model_state_dict': net.state_dict(),
            'optimizer_state_dict': opt.state_dict(),
            'loss': 0.5,
            'best': [1, 2.5],
            'name': 'net',
        },
        'check.pt',
    )
    checkpoint = torch.load('check.pt')
    epoch, loss, best, name = checkpoint['epoch'], checkpoint['loss'], checkpoint['best'], checkpoint['name']
    other = nn.Linear(2, 2); other.load_state_dict(checkpoint['model_state_dict'])
    opt2 = optim.Adam(other.parameters(), lr=0.3); opt2.load_state_dict(checkpoint['optimizer_state_dict'])
    lr = opt2.param_groups[0]['lr']; w = other.weight; m = opt2.state[other.weight]['exp_avg']
    del checkpoint
""")
file.same("one tensor, a list of tensors", """
    torch.save(torch.arange(3), 'x.pt'); x = torch.load('x.pt')
    torch.save([torch.ones(1), torch.zeros(2)], 'l.pt'); l = torch.load('l.pt')
    torch.save((torch.ones(1), 2), 't.pt'); t = torch.load('t.pt')
""")
file.same("into memory", """
    buffer = io.BytesIO(); torch.save({'w': torch.ones(2)}, buffer); buffer.seek(0); d = torch.load(buffer)
    w = d['w']
""")
file.same("a file object", """
    with open('w.pt', 'wb') as f:
        torch.save({'w': torch.ones(2)}, f)
    with open('w.pt', 'rb') as f:
        d = torch.load(f)
""")
file.same("a path object", """
    from pathlib import Path
    torch.save({'w': torch.ones(2)}, Path('w.pt')); d = torch.load(Path('w.pt'))
""")
file.same("dtypes survive", """
    torch.save(
        {
            'a': torch.ones(1, dtype=torch.float64),
            'b': torch.tensor([True]),
            'c': torch.arange(2),
            'd': torch.ones(1).half(),
            'e': torch.tensor(3),
        },
        'd.pt',
    )
    d = torch.load('d.pt')
""")
file.same("a file that is not there", "torch.load('nothing.pt')", raises="FileNotFoundError")
file.same("a scheduler's state in a file", """
    w = torch.ones(1, requires_grad=True); opt = optim.SGD([w], lr=0.1); s = lr_scheduler.StepLR(opt, 2)
    opt.step(); s.step(); torch.save(s.state_dict(), 's.pt'); d = torch.load('s.pt'); e = d['last_epoch']; del d
""")
file.same("weights of part of a net", """
    net = nn.Sequential(fixed(nn.Linear(2, 3)), nn.Linear(3, 1)); torch.save(net[0].state_dict(), 'part.pt')
    other = nn.Linear(2, 3); other.load_state_dict(torch.load('part.pt')); w = other.weight
""")
file.same("os.path.isfile before a resume", """
    start = 0
    if os.path.isfile('check.pt'):
        start = torch.load('check.pt')['epoch']
    torch.save({'epoch': 3}, 'check.pt')
    if os.path.isfile('check.pt'):
        start = torch.load('check.pt')['epoch']
""")
file.same("parameters in a file", """
    torch.save(nn.Parameter(torch.ones(2)), 'p.pt'); p = torch.load('p.pt'); t = type(p).__name__
    torch.save({'w': torch.ones(2, requires_grad=True)}, 'q.pt'); q = torch.load('q.pt')['w'].requires_grad
""")
file.same("pickle of a tensor", """
    import pickle
    x = pickle.loads(pickle.dumps(torch.arange(3.0)))
""")
file.same("a whole net by pickle", """
    import pickle
    net = fixed(nn.Linear(2, 1)); other = pickle.loads(pickle.dumps(net)); w = other.weight
""")
file.same("a state_dict converted to NumPy", """
    net = fixed(nn.Linear(2, 1)); np.savez('w.npz', **{k: v.numpy() for k, v in net.state_dict().items()})
    z = np.load('w.npz'); net2 = nn.Linear(2, 1)
    net2.load_state_dict({k: torch.from_numpy(z[k]) for k in z.files}); w = net2.weight
""")
