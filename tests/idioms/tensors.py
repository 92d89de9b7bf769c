"""Idioms: creating tensors; shapes, views and indexing; dtypes and devices."""

from tests.idioms.idiom import Subject

creating = Subject("Creating tensors")
creating.same("from a list of ints", "x = torch.tensor([1, 2, 3])")
creating.same("from nested floats", "x = torch.tensor([[1.0, 2.0], [3.0, 4.5]])")
creating.same("a number", "x = torch.tensor(3.0); n = torch.tensor(7); b = torch.tensor(True)")
creating.same("from booleans", "x = torch.tensor([True, False]); s = x.sum()")
creating.same("with a dtype", """
    x = torch.tensor([1, 2], dtype=torch.float32); y = torch.tensor([1.7], dtype=torch.long)
""")
creating.same("that requires a gradient", "x = torch.tensor([1.0, 2.0], requires_grad=True); r = x.requires_grad")
creating.same("from an array of float64", "x = torch.tensor(np.arange(4.0)); y = torch.from_numpy(np.arange(4.0))")
creating.same("from an array of integers", "x = torch.from_numpy(np.array([1, 2], dtype=np.int32))")
creating.same("Tensor of a list is float32", "x = torch.Tensor([1, 2, 3]); y = torch.Tensor([[1.5], [2]])")
creating.same("Tensor of sizes", "shape = torch.Tensor(2, 3).shape; empty = torch.Tensor()")
creating.same("FloatTensor, LongTensor", """
    x = torch.FloatTensor([1, 2]); y = torch.LongTensor([1, 2]); z = torch.DoubleTensor([1, 2])
    s = torch.FloatTensor(2, 3).shape
""")
creating.same("ByteTensor, BoolTensor, IntTensor", """
    x = torch.ByteTensor([1, 255]); y = torch.BoolTensor([1, 0]); z = torch.IntTensor([3])
""")
creating.same("as_tensor shares an array", """
    a = np.zeros(3, dtype=np.float32)
    x = torch.as_tensor(a)
    a[0] = 5
""")
creating.same("as_tensor of a list and of a tensor", """
    x = torch.as_tensor([1, 2], dtype=torch.float32)
    y = torch.as_tensor(x)
    same = y is x
""")
creating.same("zeros, ones, full", """
    a = torch.zeros(2, 3); b = torch.ones((2,)); c = torch.full((2, 2), 7.0); d = torch.full((2,), 1)
""")
creating.same("zeros with a size keyword", "a = torch.zeros(size=(2, 3)); b = torch.ones(size=(3,))")
creating.same("zeros of a list of sizes", "a = torch.zeros([2, 3], dtype=torch.int64)")
creating.same("empty", "a = torch.empty(2, 3)", draws="a")
creating.same("zeros_like, ones_like, full_like", """
    x = numbers(2, 3)
    a, b, c = torch.zeros_like(x), torch.ones_like(x, dtype=torch.int64), torch.full_like(x, 0.5)
""")
creating.same("rand_like, randn_like, randint_like", """
    x = numbers(2, 3)
    a, b, c = torch.rand_like(x), torch.randn_like(x), torch.randint_like(x, 10)
""", draws="a b c")
creating.same("zeros_like with a device", "a = torch.zeros_like(numbers(2), device='cpu', dtype=torch.float64)")
creating.same("new_zeros and its kin", """
    x = torch.ones(2, dtype=torch.float64)
    a, b, c, d = x.new_zeros(3), x.new_ones((2, 2)), x.new_full((2,), 3.0), x.new_tensor([1, 2])
    e = x.new_empty(4).shape
""")
creating.same("arange", """
    a = torch.arange(5); b = torch.arange(1, 4); c = torch.arange(0, 1, 0.25); d = torch.arange(5.0)
""")
creating.same("arange with a dtype", "a = torch.arange(4, dtype=torch.float32); b = torch.arange(3, 0, -1)")
creating.same("linspace, logspace", """
    a = torch.linspace(0, 1, 5); b = torch.logspace(0, 2, 3); c = torch.linspace(-1, 1, steps=3)
""")
creating.same("eye", "a = torch.eye(3); b = torch.eye(2, 3)")
creating.same("diag", """
    a = torch.diag(torch.tensor([1.0, 2.0])); b = torch.diag(torch.ones(3, 3) * 2); c = numbers(3, 3).diagonal()
""")
creating.same("rand lies in [0, 1)", "x = torch.rand(100); ok = bool((x >= 0).all() and (x < 1).all())", draws="x")
creating.same("randn has mean 0", "x = torch.randn(1000, 3); ok = abs(x.mean().item()) < 0.2", draws="x")
creating.same("randint", """
    x = torch.randint(0, 10, (3, 4)); y = torch.randint(5, (2,)); ok = bool((x < 10).all())
""", draws="x y")
creating.same("randperm", "p = torch.randperm(10); q = p.sort()[0]", draws="p")
creating.same("a seed repeats the draws", """
    torch.manual_seed(3); a = torch.randn(4)
    torch.manual_seed(3); b = torch.randn(4)
    equal = torch.equal(a, b)
""", draws="a b")
creating.same("a generator", """
    g = torch.Generator().manual_seed(0)
    a = torch.rand(3, generator=g); p = torch.randperm(4, generator=g)
    g.manual_seed(0)
    same = torch.equal(a, torch.rand(3, generator=g))
""", draws="a p")
creating.same("normal with mean and std", """
    x = torch.normal(0.0, 1.0, size=(3,)); y = torch.normal(torch.zeros(2), torch.ones(2))
    z = torch.normal(mean=0.0, std=0.02, size=(2, 2))
""", draws="x y z")
creating.same("bernoulli, multinomial", """
    b = torch.bernoulli(torch.full((4,), 0.5))
    m = torch.multinomial(torch.tensor([0.0, 1.0]), 3, replacement=True)
    sure = torch.bernoulli(torch.ones(3))
""", draws="b")
creating.same("random in place", """
    u = torch.empty(3).uniform_(-1, 1); n = torch.empty(3).normal_(0, 2); b = torch.empty(3).bernoulli_(0.5)
    inside = bool((u.abs() <= 1).all())
""", draws="u n b")
creating.same("Python's random numbers seeded as usual", """
    random.seed(0); np.random.seed(0); torch.manual_seed(0); torch.cuda.manual_seed(0)
    torch.cuda.manual_seed_all(0)
    x = np.random.rand(2); y = random.random()
""")
creating.same("meshgrid", "a, b = torch.meshgrid(torch.arange(3), torch.arange(2), indexing='ij')")
creating.same("tril, triu", "a = torch.tril(torch.ones(3, 3)); b = torch.triu(torch.ones(3, 3), diagonal=1)")
creating.same("a one-hot matrix by eye", "y = torch.eye(4)[torch.tensor([0, 2, 3])]")
creating.same("a one-hot matrix by scatter_", "y = torch.zeros(3, 4).scatter_(1, torch.tensor([[0], [2], [3]]), 1)")
creating.same("one_hot", "y = F.one_hot(torch.tensor([0, 2]), num_classes=4); z = F.one_hot(torch.tensor([1, 0]))")
creating.same("clone and detach", "x = numbers(3); y = x.clone().detach(); y[0] = 9")
creating.same("tensor of a list of tensors", "x = torch.stack([torch.tensor(1.0), torch.tensor(2.0)])")
creating.same("a size from another tensor's shape", """
    x = torch.zeros(*numbers(2, 3).shape, 4); y = torch.zeros(numbers(2, 3).size())
""")
creating.same("ragged lists are refused", "torch.tensor([[1, 2], [3]])", raises="ValueError")
creating.same("is_tensor, numel", """
    a = torch.is_tensor(torch.ones(1)); b = torch.numel(torch.ones(2, 3)); c = torch.is_tensor([1])
""")

shapes = Subject("Shapes, views and indexing")
shapes.same("shape and size", """
    x = torch.zeros(2, 3, 4)
    a, b, c, d = x.shape, x.size(), x.size(0), x.shape[-1]
    n, h, w = x.shape
    count = x.shape.numel(); ndim = x.dim(); total = x.nelement()
""")
shapes.same("a shape is a tuple", """
    s = torch.zeros(2, 3).shape; a = s == (2, 3); b = tuple(s); c = list(s); d = s[:1] + (4,)
""")
shapes.same("torch.Size", "s = torch.Size([2, 3]); same = torch.zeros(2, 3).shape == s; n = s.numel()")
shapes.same("a shape in a print", "print(tuple(torch.zeros(2, 3).shape), list(torch.zeros(4).size()))")
shapes.same("view", "x = torch.arange(6).view(2, 3); y = x.view(-1); z = x.view(3, -1); w = x.view((6, 1))")
shapes.same("view shares memory", "x = torch.zeros(4); x.view(2, 2)[0, 1] = 5")
shapes.same("view(x.size(0), -1) flattens images", "x = numbers(2, 3, 4, 4); y = x.view(x.size(0), -1)")
shapes.same("view_as, reshape_as", """
    x = torch.arange(6.0); y = x.view_as(torch.zeros(2, 3)); z = x.reshape_as(torch.zeros(3, 2))
""")
shapes.same("reshape", "x = torch.arange(6).reshape(3, 2); y = x.reshape(-1); z = torch.reshape(x, (2, 3))")
shapes.same("flatten", """
    x = torch.zeros(2, 3, 4); a = x.flatten().shape; b = x.flatten(1).shape; c = torch.flatten(x, 1).shape
    d = torch.flatten(x, start_dim=0, end_dim=1).shape
""")
shapes.same("unflatten", "x = torch.arange(6).unflatten(0, (2, 3))")
shapes.same("squeeze and unsqueeze", """
    x = torch.zeros(1, 3, 1); a = x.squeeze(); b = x.squeeze(0); c = x.unsqueeze(-1); d = torch.unsqueeze(x, 1)
""")
shapes.same("None adds a dimension", "x = torch.arange(3); a = x[None]; b = x[:, None]; c = x[None, :, None]")
shapes.same("transpose, permute, t, T", """
    x = torch.arange(6).view(2, 3); a = x.t(); b = x.T; c = x.transpose(0, 1); d = x.permute(1, 0)
    e = torch.permute(x, (1, 0))
""")
shapes.same("mT, swapaxes, movedim", """
    x = numbers(2, 3, 4); a = x.mT; b = x.swapaxes(0, 2); c = torch.movedim(x, 0, -1); d = x.movedim(2, 0)
    e = x.swapdims(0, 1)
""")
shapes.same("a transposed tensor is not contiguous", """
    x = torch.arange(6).view(2, 3).t(); a = x.is_contiguous(); b = x.contiguous().view(-1)
""")
shapes.same("stride, storage_offset", """
    x = torch.arange(12).view(3, 4); a = x.stride(); c = x.t().stride(0)
""")
shapes.same("channels last and back", """
    x = numbers(1, 3, 4, 4); y = x.to(memory_format=torch.channels_last); z = y.contiguous()
""")
shapes.same("contiguous with a memory format", """
    x = numbers(1, 3, 4, 4); y = x.contiguous(memory_format=torch.contiguous_format)
""")
shapes.same("expand, expand_as, broadcast_to", """
    x = torch.arange(3).view(3, 1); a = x.expand(3, 4); b = x.expand(-1, 2); c = x.expand_as(torch.zeros(3, 5))
    d = torch.broadcast_to(x, (3, 2))
""")
shapes.same("repeat, tile, repeat_interleave", """
    x = torch.tensor([1, 2]); a = x.repeat(3); b = x.repeat(2, 2); c = torch.tile(x, (2,))
    d = x.repeat_interleave(2); e = torch.repeat_interleave(torch.arange(4).view(2, 2), 2, dim=0)
""")
shapes.same("cat, stack", """
    x = torch.ones(2, 3); a = torch.cat([x, x]); b = torch.cat((x, x), dim=1); c = torch.stack([x, x], dim=0)
    d = torch.cat([x, x], 1); e = torch.concat([x, x], dim=-1)
""")
shapes.same("hstack, vstack, dstack", """
    x = torch.arange(3); a = torch.hstack([x, x]); b = torch.vstack([x, x]); c = torch.dstack([x, x])
    d = torch.column_stack([x, x])
""")
shapes.same("split, chunk, unbind", """
    x = torch.arange(6); a = torch.split(x, 2); b = x.split([1, 5]); c = x.chunk(3)
    d = torch.unbind(x.view(2, 3)); e, f = torch.chunk(x, 2, dim=0)
""")
shapes.same("tensor_split", "a = torch.tensor_split(torch.arange(7), 3)")
shapes.same("flip, roll, rot90", """
    x = torch.arange(6).view(2, 3); a = x.flip(0); b = torch.flip(x, [1]); c = torch.roll(x, 1)
    d = torch.roll(x, 1, dims=1); e = torch.rot90(x, 1, [0, 1]); f = torch.fliplr(x)
""")
shapes.same("slices with steps", """
    x = torch.arange(10); a = x[2:8:2]; b = x[-3:]; c = x[:-1]; d = x.view(2, 5)[:, ::2]
""")
shapes.same("an element as a number", """
    x = torch.arange(6.0).view(2, 3); a = x[1, 2].item(); b = x[0][1].item(); c = float(x[0, 0])
    d = int(x[1, 0])
""")
shapes.same("an ellipsis", "x = numbers(2, 3, 4); a = x[..., 0]; b = x[0, ...]; c = x[..., None]")
shapes.same("indexing with a list", "x = numbers(4, 3); a = x[[0, 2]]; b = x[:, [1]]; c = x[[0, 1], [2, 0]]")
shapes.same("indexing with a tensor", """
    x = numbers(4, 3); i = torch.tensor([3, 0, 0]); a = x[i]; b = x[:, torch.tensor([2, 1])]
    c = x[torch.arange(3), i[:3] % 3]
""")
shapes.same("indexing with a mask", "x = numbers(3, 3); a = x[x > 0]; b = x[torch.tensor([True, False, True])]")
shapes.same("assignment through a mask", "x = torch.arange(5.0); x[x > 2] = 0; x[x == 0] = -1")
shapes.same("assignment to a slice", """
    x = torch.zeros(3, 3); x[0] = 1; x[:, 1] = torch.tensor([5.0, 6, 7]); x[2, 2] = -1; x[1:, 0] += 2
""")
shapes.same("assignment through indices", """
    x = torch.zeros(5); x[torch.tensor([0, 3])] = 1.5; x[[1, 2]] = torch.tensor([7.0, 8.0])
""")
shapes.same("gather picks by class", """
    x = numbers(3, 4); i = torch.tensor([1, 0, 3]); a = x.gather(1, i.view(-1, 1)).squeeze(1)
    b = torch.gather(x, 1, i[:, None])
""")
shapes.same("index_select, take, masked_select", """
    x = numbers(3, 4); a = torch.index_select(x, 0, torch.tensor([0, 2]))
    b = x.index_select(1, torch.tensor([3])); c = torch.take(x, torch.tensor([0, 5]))
    d = torch.masked_select(x, x > 0)
""")
shapes.same("take_along_dim", "x = numbers(3, 4); a = torch.take_along_dim(x, x.argmax(1, keepdim=True), dim=1)")
shapes.same("select, narrow", """
    x = numbers(3, 4); a = x.select(0, 1); b = x.narrow(1, 1, 2); c = torch.narrow(x, 0, 0, 2)
""")
shapes.same("scatter_, scatter_add_, index_add_", """
    a = torch.zeros(2, 3).scatter_(1, torch.tensor([[0], [2]]), 1.0)
    b = torch.zeros(3).scatter_add_(0, torch.tensor([0, 0, 2]), torch.tensor([1.0, 2.0, 3.0]))
    c = torch.zeros(3, 2).index_add_(0, torch.tensor([0, 2]), torch.ones(2, 2))
    d = torch.zeros(2, 3).scatter(1, torch.tensor([[0], [2]]), torch.tensor([[5.0], [6.0]]))
""")
shapes.same("index_fill_, index_copy_, masked_fill_", """
    a = torch.zeros(3, 2).index_fill_(0, torch.tensor([1]), 4)
    b = torch.zeros(3, 2).index_copy_(0, torch.tensor([2]), torch.ones(1, 2))
    c = torch.zeros(3).masked_fill_(torch.tensor([True, False, True]), 2.0)
    d = torch.zeros(3).masked_fill(torch.tensor([True, False, True]), float('-inf'))
""")
shapes.same("nonzero, where with one argument, argwhere", """
    x = torch.tensor([[0, 1], [2, 0]]); a = x.nonzero(); b, c = torch.where(x > 0)
    d = torch.nonzero(x, as_tuple=True); e = torch.argwhere(x); f = torch.count_nonzero(x)
""")
shapes.same("unfold makes windows", """
    x = torch.arange(8); a = x.unfold(0, 4, 2); b = numbers(1, 1, 4, 4).unfold(2, 2, 2).unfold(3, 2, 2)
""")
shapes.same("len, iteration, unpacking", """
    x = torch.arange(6).view(3, 2); n = len(x); rows = [row.tolist() for row in x]; a, b, c = x
    parts = [int(v) for v in x[0]]
""")
shapes.same("enumerate and zip over tensors", """
    pairs = [(i, v.item()) for i, v in enumerate(torch.tensor([5, 6]))]
    z = [a.item() * b.item() for a, b in zip(torch.arange(3), torch.arange(3))]
""")
shapes.same("in", "a = 2 in torch.tensor([1, 2]); b = 7 in torch.tensor([1, 2])")
shapes.same("an index out of range", "torch.zeros(3)[5]", raises="IndexError")
shapes.same("a view of a wrong size", "torch.zeros(6).view(4, 2)", raises="RuntimeError")
shapes.same("cat of unequal sizes", "torch.cat([torch.zeros(2, 3), torch.zeros(2, 4)])", raises="RuntimeError")
shapes.same("ravel", "a = torch.arange(4).view(2, 2).ravel(); b = torch.ravel(torch.ones(2, 2).t())")
shapes.same("broadcast_tensors", "a, b = torch.broadcast_tensors(torch.arange(3), torch.zeros(2, 1))")
shapes.same("triu_indices, tril_indices", """
    a = torch.triu_indices(3, 3, offset=1); b = torch.tril_indices(2, 2)
""")

dtypes = Subject("Dtypes and devices")
dtypes.same("float, double, long, int, bool, half", """
    x = torch.tensor([0, 1, 2]); a, b, c, d, e, f = x.float(), x.double(), x.long(), x.int(), x.bool(), x.half()
""")
dtypes.same("short, byte, char", "x = torch.tensor([0, 1, 2]); a, b, c = x.short(), x.byte(), x.char()")
dtypes.same("names of dtypes", """
    a, b, c, d, e, f = torch.float, torch.double, torch.long, torch.int, torch.half, torch.short
""")
dtypes.same("torch.bool", "m = torch.zeros(2, dtype=torch.bool); same = m.dtype == torch.bool")
dtypes.same("comparing dtypes", """
    x = torch.zeros(1); a = x.dtype == torch.float32; b = x.dtype is torch.float32
    c = x.long().dtype == torch.int64; d = torch.float is torch.float32
""")
dtypes.same("is_floating_point", """
    c = torch.is_floating_point(torch.ones(1)); d = torch.ones(1).is_floating_point()
""")
dtypes.same("to a dtype, to a device", """
    x = torch.ones(2); a = x.to(torch.float64); b = x.to('cpu'); c = x.to(device='cpu', dtype=torch.int64)
    d = x.to('cpu', torch.float16); e = x.to(a)
""")
dtypes.same("to returns itself", """
    x = torch.ones(2); same = x.to(torch.float32) is x; also = x.float() is x
    device = x.to(torch.device('cpu')) is x
""")
dtypes.same("to with copy and non_blocking", """
    x = torch.ones(2); a = x.to('cpu', non_blocking=True); b = x.to(torch.float32, copy=True) is x; c = x.cpu()
""")
dtypes.same("type", """
    x = torch.ones(2); a = x.type(torch.float64); b = x.type(torch.LongTensor)
    c = x.type_as(torch.ones(1, dtype=torch.int64)); d = x.type('torch.DoubleTensor')
""")
dtypes.same("type() names the class", "a = torch.ones(1).type(); b = torch.ones(1).long().type()")
dtypes.same("promotion of dtypes", """
    i = torch.tensor([1, 2]); a = i + 1.5; b = i * torch.tensor([0.5, 1.0]); c = i / 2
    d = torch.tensor([1.0], dtype=torch.float64) + torch.tensor([1.0]); e = torch.tensor([True]) + 1
""")
dtypes.same("a Python number does not promote", """
    x = torch.ones(2, dtype=torch.float16) * 2.5; y = torch.ones(2) + 1e-3
    z = torch.tensor([1], dtype=torch.int8) + 1
""")
dtypes.same("result_type, promote_types", """
    a = torch.result_type(torch.ones(1), torch.ones(1).long())
    b = torch.promote_types(torch.float16, torch.int64); c = torch.can_cast(torch.float32, torch.int64)
""")
dtypes.same("finfo, iinfo", """
    a = torch.finfo(torch.float32).eps; b = torch.iinfo(torch.int8).max; c = torch.finfo(torch.float16).max
    d = float(torch.finfo(torch.float32).min)
""")
dtypes.same("the default dtype", """
    torch.set_default_dtype(torch.float64); x = torch.tensor([1.0]); y = torch.zeros(2)
    d = torch.get_default_dtype(); torch.set_default_dtype(torch.float32)
""")
dtypes.same("torch.device", """
    d = torch.device('cpu'); a = str(d); b = d.type; e = torch.device(d)
""")
dtypes.same("comparing devices", """
    x = torch.ones(1); a = x.device == torch.device('cpu'); b = x.device.type == 'cpu'; c = str(x.device)
    d = x.is_cuda
""")
dtypes.same("device-agnostic code", """
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    x = torch.ones(2, device=device); y = torch.zeros(3).to(device)
    kind = device.type
""")
dtypes.same("device as a string", """
    device = 'cuda:0' if torch.cuda.is_available() else 'cpu'; net = nn.Linear(2, 1).to(device)
    d = next(net.parameters()).device
""")
dtypes.same("the accelerator, if there is one", """
    device = torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else 'cpu'
""")
dtypes.same("mps, if there is one", "device = 'mps' if torch.backends.mps.is_available() else 'cpu'")
dtypes.same("cuda without a GPU", "a = torch.cuda.is_available(); n = torch.cuda.device_count()")
dtypes.same("cudnn's flags", """
    torch.backends.cudnn.benchmark = True; torch.backends.cudnn.deterministic = True; x = 1
""")
dtypes.same("deterministic algorithms", """
    torch.use_deterministic_algorithms(True); torch.use_deterministic_algorithms(False); x = 1
""")
dtypes.same("cuda.synchronize and empty_cache guarded", """
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    torch.cuda.empty_cache()
    ran = True
""")
dtypes.same("set_default_device", "torch.set_default_device('cpu'); x = torch.ones(1); d = x.device")
dtypes.same("with torch.device", """
    with torch.device('cpu'):
        x = torch.ones(2)
""")
dtypes.same("integers cannot require a gradient", "torch.tensor([1, 2], requires_grad=True)", raises="RuntimeError")
dtypes.same("element_size, nbytes, itemsize", """
    x = torch.ones(3); a = x.element_size(); b = x.nbytes; c = x.element_size() * x.nelement()
    d = x.dtype.itemsize
""")
dtypes.same("complex numbers are asked for", "a = torch.is_complex(torch.ones(1)); b = torch.ones(1).is_complex()")
dtypes.same("threads", "torch.set_num_threads(1); n = torch.get_num_threads()")
dtypes.same("set_float32_matmul_precision", """
    torch.set_float32_matmul_precision('high'); p = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision('highest')
""")
