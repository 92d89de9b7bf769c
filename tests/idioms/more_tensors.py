"""Idioms: what else is typed from memory, of tensors."""

from tests.idioms.idiom import Subject

tensors = Subject("Tensors, from memory")
tensors.same("names of the same number", """
    x = torch.zeros(2, 3); a = x.ndim; b = x.ndimension(); c = x.nelement(); d = x.numel(); e = len(x.size())
""")
tensors.same("a tensor of tensors", "x = torch.tensor([torch.tensor(1.0), torch.tensor(2.5)])")
tensors.same("a tensor of a tensor is a copy", "x = torch.ones(2); y = torch.tensor(x); y[0] = 5")
tensors.same("a FloatTensor of an array", """
    x = torch.FloatTensor(np.array([1.5, 2.0])); y = torch.LongTensor(np.array([1, 2]))
    z = torch.Tensor(np.eye(2))
""")
tensors.same("sizes as lists", """
    x = torch.arange(6.0); a = x.view([2, 3]); b = a.permute([1, 0]); c = a[:1].expand([4, 3])
    d = a.repeat([2, 1])
    e = torch.zeros([2, 2]); f = torch.randn([2, 3]).shape; g = torch.ones(torch.Size([3]))
    h = x.reshape([3, 2])
""")
tensors.same("sizes as numbers of NumPy", "n = np.int64(3); a = torch.zeros(n, 2); b = torch.arange(6).view(n, -1)")
tensors.same("get_device, is_cuda", """
    x = torch.ones(1); a = x.is_cuda; c = x.is_leaf; d = x.get_device()
""")
tensors.same("data_ptr tells views from copies", """
    x = torch.zeros(4); a = x.view(2, 2).data_ptr() == x.data_ptr(); b = x.clone().data_ptr() == x.data_ptr()
""")
tensors.same("where with a number first", """
    x = numbers(4); a = torch.where(x > 0, 1.0, x); b = torch.where(x > 0, torch.tensor(1), torch.tensor(0))
""")
tensors.same("masked assignment of a tensor", "x = numbers(4); m = x > 0; x[m] = torch.arange(float(m.sum()))")
tensors.same("a row and a column by indices", """
    x = numbers(3, 4); i = torch.tensor([2, 0]); a = x[i, :]; b = x[:, i]; c = x[i][:, i]; d = x[i, 1]
    e = x[torch.tensor([0, 1]).unsqueeze(1), torch.tensor([0, 2])]
""")
tensors.same("+= at indices", "x = torch.zeros(3, 3); x[[0, 1], [1, 2]] += 1; x[0] *= 2; x[:, 2] -= 1; x[x == 0] = 9")
tensors.same("functions with dims in tuples", """
    x = numbers(2, 3, 4); a = torch.sum(x, (1, 2)); b = torch.mean(x, dim=(0, 1)); c = x.mean((1, 2))
    d = x.sum((-1,))
    e = torch.std(x, dim=0); f = torch.var(x, 1, unbiased=False); g = torch.amax(x, (0, 2)); h = x.std((0, 1))
""")
tensors.same("min and max by names", """
    x = numbers(3, 4); r = torch.max(x, dim=1); a, b = r.values, r.indices; c = r[0]; s = x.sort(dim=0)
    d = s.values; e = x.topk(2, dim=0).indices; f = x.min(dim=1).indices; g, h = x.median(dim=1)
""")
tensors.same("numbers from a tensor", """
    x = torch.tensor([2.0]); a = float(x); b = int(x); c = x.item(); d = round(x.item(), 2); e = bool(x)
    f = math.sqrt(x)
    g = [1, 2, 3][torch.tensor(1)]; h = range(torch.tensor(3)); k = max(torch.tensor(1), torch.tensor(5))
""")
tensors.same("sum and max of Python", """
    x = torch.arange(4.0); a = sum(x); b = max(x); c = min(x); d = sorted([v.item() for v in x])
""")
tensors.same("abs, pow, divmod of Python", """
    x = torch.tensor([-3.0, 5.0]); a = abs(x); b = pow(x, 2); c = -x; d = +x; e = x.__neg__()
""")
tensors.same("a tensor as a key and in a set", """
    x, y = torch.ones(1), torch.ones(1); d = {x: 1, y: 2}; n = len(d); m = len({x, x})
""")
tensors.same("is None, == None", "x = None; a = x is None; y = torch.ones(1); b = y is not None; c = (y == None)")
tensors.same("shape checks by assert", """
    x = torch.zeros(2, 3); assert x.shape == torch.Size([2, 3]); assert x.size() == (2, 3)
    assert list(x.shape) == [2, 3]; ok = x.shape[0] * x.shape[1]
""")
tensors.same("arithmetic with shapes", """
    x = torch.zeros(2, 3, 4); n = np.prod(x.shape[1:]); m = math.prod(x.shape); a, *b = x.shape
    y = x.view(x.shape[0], *b)
""")
tensors.same("norms along dims", """
    x = numbers(3, 4); a = x / x.norm(dim=1, keepdim=True); b = torch.norm(x, dim=1); c = x.pow(2).sum(1).sqrt()
    d = torch.norm(x - x.mean(0), p=2, dim=-1); e = x.norm(1); f = torch.norm(x, 2)
""")
tensors.same("logits to probabilities", """
    x = numbers(2, 3); p = x.softmax(dim=-1); e = -(p * p.log()).sum(-1); c = p.argmax(-1); t = p.max(-1).values
    q = torch.exp(torch.log_softmax(x, -1))
""")
tensors.same("cumulative mean", "x = torch.arange(1.0, 5.0); m = x.cumsum(0) / torch.arange(1, 5)")
tensors.same("batched outer products", """
    a, b = numbers(2, 3), numbers(2, 4); c = a[:, :, None] * b[:, None, :]; d = a.unsqueeze(2) @ b.unsqueeze(1)
    e = torch.matmul(a, a.transpose(0, 1)); f = (a.unsqueeze(1) * a.unsqueeze(0)).sum(-1)
""")
tensors.same("matmul broadcasts", """
    a, b = numbers(2, 3, 4), numbers(4, 5); c = a @ b; d = torch.matmul(a, b); e = a @ b[:, 0]
    f = numbers(1, 3, 4) @ numbers(2, 4, 2)
""")
tensors.same("clone keeps the graph, detach cuts it", """
    x = torch.ones(2, requires_grad=True); a = x.clone().requires_grad; b = x.detach().requires_grad
    c = torch.clone(x); d = x.detach().clone().requires_grad_(True).is_leaf
""")
tensors.same("set_default_tensor_type", "torch.set_default_tensor_type('torch.FloatTensor'); x = torch.zeros(1)")
tensors.same("zeros_like keeps no gradient", """
    x = torch.ones(2, requires_grad=True); r = torch.zeros_like(x).requires_grad
    y = torch.ones_like(x, requires_grad=True); z = torch.empty_like(x).shape
""")
tensors.same("triangles and masks", """
    m = torch.tril(torch.ones(3, 3)) == 0; x = numbers(3, 3).masked_fill(m, float('-inf'))
    p = F.softmax(x, dim=-1); b = torch.triu(torch.ones(3, 3), diagonal=1).bool()
""")
tensors.same("unique and counting of labels", """
    y = torch.tensor([2, 0, 2, 1]); c = torch.bincount(y, minlength=4); u = torch.unique(y)
    n = (y == 2).sum().item(); i = (y == 2).nonzero(as_tuple=True)[0]; j = (y == 2).nonzero().squeeze(1)
""")
tensors.same("argsort and gather put in order", """
    x = numbers(2, 4); i = x.argsort(dim=1, descending=True); y = torch.gather(x, 1, i); r = i.argsort(dim=1)
    z = torch.argsort(x[0])
""")
tensors.same("splitting by sizes and back", """
    x = torch.arange(10).view(5, 2); a, b = torch.split(x, [2, 3]); y = torch.cat((a, b))
    z = torch.cat(x.chunk(2, 1), 0); w = torch.stack(torch.unbind(x, 1), dim=1)
""")
tensors.same("images: channel means", """
    x = numbers(2, 3, 4, 4); m = x.mean(dim=[0, 2, 3]); s = x.std(dim=(0, 2, 3))
    y = (x - m[None, :, None, None]) / s.view(1, -1, 1, 1)
    z = x.transpose(0, 1).contiguous().view(3, -1).mean(1)
""")
tensors.same("images: patches", """
    x = torch.arange(16.0).view(1, 1, 4, 4)
    p = x.unfold(2, 2, 2).unfold(3, 2, 2).contiguous().view(1, 1, -1, 2, 2)
    q = x.reshape(1, 1, 2, 2, 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(4, -1)
""")
tensors.same("rolling and padding by hand", """
    x = torch.arange(5); a = torch.roll(x, shifts=2, dims=0); b = torch.cat([x[-1:], x[:-1]])
    c = torch.roll(torch.arange(6).view(2, 3), shifts=(1, 1), dims=(0, 1))
""")
tensors.same("in-place random numbers", """
    x = torch.zeros(3).random_(0, 10); ok = bool((x >= 0).all() and (x < 10).all())
    y = torch.empty(2).exponential_(); z = torch.zeros(2).random_(2)
""", draws="x y z")
tensors.same("assignment of None dims", """
    x = torch.zeros(2, 3); x[:, None][0] = 1; y = torch.zeros(2, 2); y[...] = 3; z = torch.zeros(3)
    z[:] = torch.arange(3)
""")
tensors.same("booleans count", """
    x = torch.tensor([True, False, True]); a = x.sum(); b = x.float().mean(); c = (~x).sum().item()
    d = x.long(); e = x * 2; f = x & ~x; g = x.any().item()
""")
tensors.same("int division of Python's /", """
    x = torch.tensor([3, 4]); a = x / 2; b = x // 2; c = (x / 2).int(); d = torch.div(x, 2); e = x.float() / 3
    f = 7 // torch.tensor([2, 3]); g = 7 % torch.tensor([2, 3])
""")
tensors.same("float precision of long sums", """
    x = torch.full((1000,), 0.1); s = x.sum(); m = x.double().sum(); c = x.mean()
""")
tensors.same("_version counts changes in place", """
    x = torch.zeros(3); a = x._version; x.add_(1); x[0] = 2; b = x._version; y = x.view(3); y.mul_(2); c = x._version
    d = y._version
""")
tensors.same("the class of devices", """
    x = torch.ones(1); d = torch.device('cpu'); a = isinstance(x.device, torch.device)
    b = isinstance('cpu', torch.device)
    c = torch.device(d) == d; e = d.index; f = torch.device('cpu', 0).type; g = torch.device(type='cpu').type
    print(repr(d)); h = len({d, torch.device('cpu')}); i = x.device in [d]
""")
tensors.same("a device around code", """
    with torch.device('cpu'):
        x = torch.zeros(2)
    d = x.device
""")
tensors.same("fmax, fmin", """
    a, b = torch.tensor([1.0, math.nan]), torch.tensor([0.0, 2.0]); x = torch.fmax(a, b); y = a.fmin(b)
""")
tensors.same("shifts of bits", """
    n = torch.tensor([1, 2, -8]); a = n << 1; b = n >> 1; c = 1 << torch.arange(3); n <<= 2
    d = n.bitwise_right_shift(1)
""")
tensors.same("at least so many dimensions", """
    a = torch.atleast_1d(torch.tensor(1.0)); b = torch.atleast_2d(torch.ones(2)); c = torch.atleast_3d(torch.ones(2, 3))
    d, e = torch.atleast_2d(torch.ones(2), torch.tensor(1.0))
""")
tensors.same("all combinations", """
    a = torch.cartesian_prod(torch.arange(2), torch.arange(3)); b = torch.combinations(torch.arange(4), 2)
    c = torch.combinations(torch.arange(2), with_replacement=True); d = torch.block_diag(torch.ones(1, 2), torch.eye(2))
""")
tensors.same("the old new", """
    x = torch.ones(1, dtype=torch.float64); a = x.new(2, 3).zero_(); b = x.new([1, 2]); c = x.new(a.size()).shape
    d = x.new().shape; e = torch.tensor([1]).new([2.0, 3.0])
""")
tensors.same("share_memory_ of a net and a tensor", """
    x = torch.ones(2).share_memory_(); y = x + 1
""")
tensors.same("index_put_", """
    x = torch.zeros(4); i = torch.tensor([1, 1, 3]); x.index_put_((i,), torch.ones(3), accumulate=True)
    y = torch.zeros(2, 2).index_put((torch.tensor([0, 1]), torch.tensor([1, 0])), torch.tensor(5.0))
    z = torch.zeros(3); z.index_put_([torch.tensor([True, False, True])], torch.tensor([1.0, 2.0]))
""")
tensors.same("storage_offset, stride", """
    x = torch.ones(4, 3); a = x[2:].storage_offset(); b = x.t().stride(); c = x.storage_offset()
    d = x[1, 2].storage_offset()
""")
tensors.same("what kind of tensor it is", """
    x = torch.ones(2); a = x.is_sparse; b = x.is_quantized; c = x.is_cuda; d = x.is_cpu; e = x.layout == torch.strided
    f = x.is_pinned(); g = x.is_shared()
""")
tensors.same("addmm_ and its kin", """
    x = torch.zeros(2, 2); x.addmm_(torch.ones(2, 3), torch.ones(3, 2), beta=0.5, alpha=2); v = torch.ones(2)
    v.addmv_(torch.ones(2, 2), torch.ones(2)); w = torch.zeros(2, 2).addr_(v, v); p = torch.arange(1.0, 4.0).cumprod_(0)
""")
tensors.same("out=", """
    a = torch.empty(3); b = torch.add(torch.ones(3), 1, out=a); same = a is b; c = torch.Tensor()
    torch.matmul(torch.ones(2, 3), torch.ones(3), out=c); d = torch.zeros(2, 2)
    torch.mul(d, 2, out=d); torch.exp(d, out=d); e = torch.empty(4); torch.cat([a, torch.ones(1)], out=e)
    v, i = torch.empty(2), torch.empty(2, dtype=torch.long); torch.max(torch.eye(2), 1, out=(v, i))
    f = torch.zeros(2, out=torch.empty(2)); g = torch.sum(torch.ones(2, 3), 1, out=torch.empty(2))
    h = torch.clamp(torch.arange(4.0), 1, 2, out=torch.empty(4))
    r = torch.randperm(3, out=torch.empty(3, dtype=torch.long))
""", draws="r")
tensors.same("out= where gradients are recorded", """
    w = torch.ones(2, requires_grad=True); torch.add(w, 1, out=torch.empty(2))
""", raises="RuntimeError")
tensors.same("layers as functions of torch", """
    x = numbers(1, 2, 4, 4); a = torch.conv2d(x, torch.ones(3, 2, 3, 3), None, 1, 1); b = torch.max_pool2d(x, 2)
    c = torch.dropout(x, 0.5, False); d = torch.relu_(x.clone()); e = torch.cosine_similarity(x, x + 1, 1)
    f = torch.pairwise_distance(x[0, 0], x[0, 1]); g = torch.selu(x); h = torch.pixel_shuffle(torch.ones(1, 4, 2, 2), 2)
""")
tensors.same("memory_format of *_like", """
    x = torch.ones(2, 2); f = torch.preserve_format; a = torch.full_like(x, 2, memory_format=f)
    b = torch.zeros_like(x, memory_format=f); c = torch.rand_like(x, memory_format=f).shape
""")
tensors.same("alpha is a tensor of one number", """
    x = torch.ones(2); a = x.add(x, alpha=torch.tensor(0.5)); x.add_(x, alpha=-torch.tensor(0.25)); b = x - 1
""")
tensors.same("asarray", """
    n = np.ones(2, np.float32); a = torch.asarray(n); n[0] = 5; b = torch.asarray(n, copy=True); n[1] = 6
    c = torch.asarray([1, 2], dtype=torch.float64)
""")
tensors.same("one process", """
    import importlib
    dist = importlib.import_module(torch.__name__ + '.multiprocessing'); n = dist.get_sharing_strategy() != ''
    world = torch.distributed.is_available() and torch.distributed.is_initialized()
""")
