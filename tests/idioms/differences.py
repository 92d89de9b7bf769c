"""What differs from torch on purpose: names and errors, numbers at the edges, checks, and what is not to come."""

from tests.idioms.idiom import Subject

names = Subject("Names, printing, errors")
names.differs(
    "random numbers", "torch.manual_seed(0); x = torch.rand(3)",
    "Random numbers are others than torch's: the same seed gives other weights, masks and shuffles.",
    remedy="To compare the two libraries, draw with NumPy, or load the same weights into both.",
)  # fmt: skip
names.differs(
    "a dtype is printed", "print(torch.zeros(1).dtype, torch.zeros(1, dtype=torch.float64))",
    "Dtypes are NumPy's, and print without `torch.`: `float32`, `tensor([0.], dtype=float64)`.",
    remedy="Compare dtypes, not their names: `x.dtype == tinycnn.float32`.",
)  # fmt: skip
names.differs(
    "a shape is printed", """
    x = torch.zeros(2, 3); print(x.shape); text = str(x.size())
""",
    "A shape is a tuple and prints as one: `(2, 3)`, not `torch.Size([2, 3])`.",
    remedy="`tuple(x.shape)` prints the same in both.",
    instead="x = torch.zeros(2, 3); print('torch.Size(%s)' % list(x.shape)); text = 'torch.Size(%s)' % list(x.size())",
)  # fmt: skip
names.differs(
    "what a dtype can tell", "f = torch.zeros(1).dtype.is_floating_point",
    "A dtype has not torch's attributes, such as `is_floating_point`.",
    instead="f = torch.zeros(1).is_floating_point()",
    remedy="Ask the tensor: `x.is_floating_point()`.",
)  # fmt: skip
names.differs(
    "integers that cannot have a gradient", """
    try:
        torch.tensor([1, 2]).requires_grad_()
    except RuntimeError:
        caught = True
""",
    "What a call gets wrong is a ValueError or a TypeError, also where torch raises a RuntimeError or an IndexError. A "
    "wrong shape is both, a ValueError and a RuntimeError.",
    remedy="Catch both: `except (RuntimeError, ValueError, TypeError)`.", instead="""
    try:
        torch.tensor([1, 2]).requires_grad_()
    except (RuntimeError, ValueError, TypeError):
        caught = True
""",
)  # fmt: skip
names.differs(
    "names of nodes", "x = torch.ones(1, requires_grad=True); name = type((x * 2).grad_fn).__name__",
    "Nodes of the graph are named after tinycnn's operators: `grad_fn=<Mul>`, not `<MulBackward0>`.",
    remedy="Ask whether `grad_fn` is None, not for its name.",
)  # fmt: skip

views = Subject("Views")
views.differs(
    "view of memory that leaves no view", """
    x = torch.arange(6).view(2, 3).t(); y = x.view(-1)
""",
    "`view` copies where torch refuses, because activations lie batch-innermost and many shapes that torch can view "
    "would not be views here. A change in place of such a copy is refused.",
    raises="RuntimeError", remedy="`reshape` says the same in both libraries.",
)  # fmt: skip

lacking = Subject("Functions and arguments")
lacking.differs(
    "out= of another shape", """
    import warnings
    warnings.simplefilter('ignore'); a = torch.zeros(5); torch.add(torch.ones(3), 1, out=a)
""",
    "`out=` of another shape than the result's is an error unless it is empty; torch warns, and gives it that shape. "
    "Functions that programs hardly use it with do not take it.", remedy="`torch.empty(0)` takes any shape.",
)  # fmt: skip
lacking.differs(
    "inverse", """
    x = torch.linalg.inv(numbers(3, 3) + 3 * torch.eye(3))
""",
    "Inverses, decompositions and solvers (`torch.linalg.inv`, `det`, `solve`, `svd`, `qr`, `eigh`) are not here.",
    instead="x = torch.from_numpy(np.linalg.inv((numbers(3, 3) + 3 * torch.eye(3)).numpy()))",
    remedy="Use NumPy's where no gradient is needed: `tinycnn.from_numpy(np.linalg.inv(x.numpy()))`.",
)  # fmt: skip
lacking.differs(
    "special functions", "x = torch.special.gammaln(torch.ones(2))",
    "`torch.special`, `erfinv`, `lgamma` and their kin are not here.", instead="""
    from math import lgamma
    x = torch.tensor([lgamma(v) for v in [1.0, 1.0]])
""",
    remedy="Use `math` or SciPy where no gradient is needed.",
)  # fmt: skip
lacking.differs(
    "view of a dtype", "x = torch.tensor([1.0, -2.0]).view(torch.int32)", "`view` takes sizes, not a dtype.",
    instead="x = torch.from_numpy(torch.tensor([1.0, -2.0]).numpy().view(np.int32))",
    remedy="`tinycnn.from_numpy(x.numpy().view(np.int32))`.",
)  # fmt: skip
lacking.differs(
    "antialiasing", "y = F.interpolate(numbers(1, 1, 4, 4), (2, 2), mode='bilinear', antialias=True)",
    "`interpolate` has no antialiasing.", remedy='Use "area", or `transforms.Resize`.',
)  # fmt: skip
lacking.differs(
    "a GPU that is not there", "d = torch.device('cuda:0').index",
    "`device` checks that the device is there, and \"cuda\" is the current GPU from then on; torch's fails at the "
    "first use.",
    remedy="Ask first, as most programs do: `'cuda' if tinycnn.cuda.is_available() else 'cpu'`.",
)  # fmt: skip
lacking.differs(
    "torch.func", "g = torch.func.grad(lambda x: (x ** 2).sum())(torch.tensor([1.0, 2.0]))",
    "`torch.func` (`vmap`, `grad`, `functional_call`) is not here.", instead="""
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    g, = torch.autograd.grad((x ** 2).sum(), x)
""",
    remedy="`autograd.grad` and `autograd.functional` give the gradients.",
)  # fmt: skip
lacking.differs(
    "hooks of saved tensors", """
    with torch.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: x):
        x = torch.ones(2, requires_grad=True)
        (x ** 2).sum().backward()
""",
    "`torch.autograd.graph` is not here.", remedy="`utils.checkpoint` saves memory, too.",
)  # fmt: skip

lacking.differs(
    "poisson", "x = torch.poisson(torch.zeros(2))",
    "Not here, as no program among those that were tried needs them: `poisson`, `logcumsumexp`, `Tensor.map_` and "
    "`apply_`.", remedy="NumPy has them.",
    instead="x = torch.from_numpy(np.random.poisson(np.zeros(2)).astype(np.float32))",
)  # fmt: skip
lacking.differs(
    "memory that processes share", "x = torch.ones(2).share_memory_().is_shared()",
    "`share_memory_` shares nothing: another process gets a copy.",
    remedy="Return results through a queue; `multiprocessing.shared_memory` of Python shares arrays.",
)  # fmt: skip
lacking.differs(
    "distributed", """
    torch.distributed.init_process_group('gloo', init_method='file://' + os.path.abspath('g'), rank=0, world_size=1)
    n = torch.distributed.get_world_size(); torch.distributed.destroy_process_group()
""",
    "`torch.distributed` is on MPI, and on NCCL among GPUs: a launcher starts the ranks and tells them who they are. "
    "There is one group, of all ranks, and no message from one rank to another.",
    remedy="Start the program with `python -m tinycnn.distributed -n 2 program.py`, and call `init_process_group()` "
    "without `init_method`: see `docs/scaling.md`.",
)  # fmt: skip
lacking.differs(
    "options of pickle", """
    torch.save({'a': torch.ones(1)}, 'a.pt', pickle_protocol=2); n = os.path.exists('a.pt')
""",
    "`save` has no options of pickle; `load` executes nothing, whatever `weights_only` is.",
    instead="torch.save({'a': torch.ones(1)}, 'a.pt'); n = os.path.exists('a.pt')", remedy="Leave them out.",
)  # fmt: skip
lacking.differs(
    "a device equals its name", "same = torch.device('cpu') == 'cpu'",
    "A device equals its name: `x.device == 'cpu'` is True.",
)  # fmt: skip

graph = Subject("Autograd")
graph.differs(
    "step functions", """
    x = numbers(3).requires_grad_(); y = torch.round(x); r = y.requires_grad
""",
    "Step functions (`sign`, `floor`, `ceil`, `round`, `trunc`, `//`) give constants. torch gives them a gradient of "
    "zeros, or none.",
    remedy="A loss made of them alone has no `backward`; beside other terms nothing changes.",
)  # fmt: skip
graph.differs(
    "a Function without @staticmethod", """
    class Double(torch.autograd.Function):
        def forward(ctx, x):
            return x * 2
        def backward(ctx, grad_output):
            return grad_output * 2
    x = torch.ones(2, requires_grad=True)
    Double.apply(x).sum().backward()
    g = x.grad
""",
    "`Function.apply` needs `@staticmethod` before `forward` and `backward`, which torch lets one forget.",
    remedy="Write it: methods of `self` and arrays are how operators are written here.", instead="""
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2
        @staticmethod
        def backward(ctx, grad_output):
            return grad_output * 2
    x = torch.ones(2, requires_grad=True)
    Double.apply(x).sum().backward()
    g = x.grad
""",
)  # fmt: skip
graph.differs(
    "the node of several outputs", """
    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, x * 3
        @staticmethod
        def backward(ctx, a, b):
            return a * 2 + b * 3
    a, b = Both.apply(torch.ones(2, requires_grad=True)); same = a.grad_fn is b.grad_fn
""",
    "Each of several outputs of a `Function` has a node of its own, which leads to that of the `Function`.",
)  # fmt: skip
graph.differs(
    "inference tensors", """
    with torch.inference_mode():
        x = torch.ones(2)
    i = x.is_inference(); y = (x.requires_grad_() * 2).requires_grad
""",
    "Tensors made in `inference_mode` are like any others: they may be recorded later.", raises="RuntimeError",
)  # fmt: skip
graph.differs(
    "an operator that keeps its input", """
    x = torch.ones(2, requires_grad=True) * 0.7
    y = F.leaky_relu(x)
    with torch.no_grad():
        x.mul_(2)
    y.sum().backward()
""",
    "An operator may keep another of its tensors for the backward pass than torch's. So after a change in place, "
    "and in a second backward pass, one of the two may refuse where the other does not.",
    remedy="The error names the tensor; change a `clone()` of it.", raises="RuntimeError",
)  # fmt: skip
graph.differs(
    "part of a split is changed in place", """
    x = torch.ones(4, requires_grad=True)
    a, b = (x * 1).split(2)
    a.mul_(2)
    a.sum().backward()
""",
    "A part that `split` or `chunk` gave can be changed in place, and a view keeps its history when it is changed "
    "under `no_grad`. torch refuses the one and forgets the other.",
    raises="RuntimeError",
)  # fmt: skip
graph.differs(
    "an expanded tensor is changed in place", "x = torch.zeros(1).expand(3); x[0] = 1",
    "A change in place of an expanded tensor, or of a view of one, is an error; torch lets some pass.",
    instead="x = torch.zeros(1).expand(3).clone(); x[:] = 1", remedy="`clone()` it first.",
)  # fmt: skip
graph.differs(
    "an operator with nothing to do", "x = torch.ones(2); y = x.expand(2); same = y is x",
    "Where nothing is to do, some operators return their input itself where torch's return a view.",
    remedy="Compare values, not identities.",
)  # fmt: skip

graph.differs(
    "two elements scattered to one place", """
    source = torch.tensor([1.0, 2.0], requires_grad=True)
    torch.zeros(1).scatter(0, torch.tensor([0, 0]), source).sum().backward()
""",
    "`scatter` sends the gradient of elements put at one place to the one that stays. `scatter_add`, `index_add` and "
    "`index_copy` refuse a source of another shape where torch's gradient is wrong or it reads on.",
)  # fmt: skip

graph.differs(
    "a gradient of a constant gradient", """
    x = torch.ones(2, requires_grad=True)
    g, = torch.autograd.grad(F.leaky_relu(x).sum(), x, create_graph=True)
    (g * x.sum()).sum().backward()
    h = torch.autograd.grad(F.relu(x).sum(), x, create_graph=True)[0].requires_grad
""",
    "A gradient that does not depend on its input, such as that of `relu`, is a constant (`requires_grad` is False), "
    "and where nothing depends on a leaf its `.grad` stays None; torch has a gradient of zeros.",
)  # fmt: skip

graph.differs(
    "a change through .data of what is saved", """
    w = torch.ones(2, requires_grad=True)
    y = (w * 1).exp()
    y.data.mul_(2)
    y.sum().backward()
""",
    "A change through `.data` is counted like any other: a backward pass that needs the former values is refused. "
    "torch computes with the new ones.", remedy="Change it after `backward()`.",
)  # fmt: skip

mixed = Subject("Mixed precision")
mixed.same("bfloat16 tensors", """
    x = torch.ones(2, dtype=torch.bfloat16); y = x * 1.5 + 2; s = y.sum(); same = s.dtype == torch.bfloat16
    v = s.item(); own = x.bfloat16() is x; f = y.float(); h = torch.tensor([0.1, 3.14]).to(torch.bfloat16).float()
    eps, big = torch.finfo(torch.bfloat16).eps, torch.finfo(torch.bfloat16).max; size = x.element_size()
    p = torch.promote_types(torch.bfloat16, torch.float16) == torch.float32
    whole = (x + torch.tensor([1, 2])).dtype == x.dtype
""")
mixed.same("a net in bfloat16", """
    net = fixed(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))).bfloat16()
    y = net(torch.tensor([[1.0, 2.0]]).bfloat16()); y.sum().backward()
    g = net[0].weight.grad.float(); same = y.dtype == net[0].weight.grad.dtype == torch.bfloat16; z = y.detach().float()
""")
mixed.same("autocast: which results have 16 bits", """
    net, x = fixed(nn.Linear(2, 2)), torch.ones(1, 2)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        y = net(x); z = torch.relu(y); s = (z + x).dtype == torch.float32; loss = F.mse_loss(z, x)
        inside = torch.is_autocast_enabled('cpu'), torch.get_autocast_dtype('cpu') == torch.bfloat16
        with torch.autocast('cpu', enabled=False):
            off = net(x).dtype == torch.float32
    dtypes = y.dtype == z.dtype == torch.bfloat16, loss.dtype == torch.float32
    loss.backward(); g = net.weight.grad; out = torch.is_autocast_enabled('cpu')
""")
mixed.same("autocast as a decorator, with float16", """
    net = fixed(nn.Conv2d(1, 2, 3))
    @torch.autocast('cpu', dtype=torch.float16)
    def forward(x):
        return net(x)
    half = forward(numbers(1, 1, 4, 4)).dtype == torch.float16; double = forward.__name__
""")
mixed.same("a loss of scores under autocast", """
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = F.binary_cross_entropy_with_logits(torch.zeros(2).bfloat16(), torch.ones(2).bfloat16())
    f = loss.dtype == torch.float32
""")
mixed.same("custom_fwd and custom_bwd", """
    class Double(torch.autograd.Function):
        @staticmethod
        @torch.amp.custom_fwd(device_type='cpu', cast_inputs=torch.float32)
        def forward(ctx, x):
            return x * 2
        @staticmethod
        @torch.amp.custom_bwd(device_type='cpu')
        def backward(ctx, g):
            return g * 2
    x = torch.ones(2, requires_grad=True)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        y = Double.apply(x.bfloat16())
    y.sum().backward(); f = y.dtype == torch.float32; g = x.grad
""")

loader = Subject("Data")
loader.differs(
    "the indices of a Subset", "i = Subset(range(5), [4, 0]).indices",
    "`Subset.indices` is an array of NumPy.", instead="i = Subset(range(5), [4, 0]).indices.tolist()",
    remedy="`indices.tolist()`.",
)  # fmt: skip
loader.differs(
    "other data under MNIST's names", """
    import struct
    os.makedirs('MNIST/raw')
    for part in ('train', 't10k'):
        with open(f'MNIST/raw/{part}-images-idx3-ubyte', 'wb') as f:
            f.write(struct.pack('>IIII', 2051, 2, 28, 28) + bytes(2 * 784))
        with open(f'MNIST/raw/{part}-labels-idx1-ubyte', 'wb') as f:
            f.write(struct.pack('>II', 2049, 2) + bytes([3, 1]))
    n = len(datasets.MNIST('.', train=True))
""",
    "`MNIST` and its kin check the files' checksums: other data under their names is refused.",
    remedy="`tinycnn.data.read_idx` reads IDX files of your own, for a `TensorDataset`.", vision=True,
)  # fmt: skip
loader.differs(
    "a flag given as a number", "n = len(list(DataLoader([1, 2], shuffle=0)))",
    "`DataLoader`, data sets and layers take True and False as flags, nothing else.",
    instead="n = len(list(DataLoader([1, 2], shuffle=False)))", remedy="`shuffle=bool(args.shuffle)`.",
)  # fmt: skip
loader.differs(
    "StopIteration of a data set", """
    class Endless(Dataset):
        def __len__(self):
            return 4
        def __getitem__(self, i):
            if i == 2:
                raise StopIteration
            return i
    n = len(list(DataLoader(Endless())))
""",
    "`StopIteration` of a data set is an error of the loader; in torch it ends the epoch.",
    remedy="Give the data set its true length, or use an `IterableDataset`.",
)  # fmt: skip
loader.differs(
    "arrays in a TensorDataset", "d = TensorDataset(np.arange(3)); n = len(d)",
    "`TensorDataset` takes arrays too, and indices are integers. A batch of it is a copy that gradients flow "
    "through.",
    raises="TypeError",
)  # fmt: skip

state = Subject("Module")
state.differs(
    "a state that fits in part", """
    net = fixed(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)))
    try:
        net.load_state_dict({'0.weight': torch.full((1, 1), 7.0)})
    except (RuntimeError, ValueError):
        weight = net[0].weight.item()
""",
    "`load_state_dict` of a module that raises an error has loaded nothing; torch's has loaded what fits.",
    remedy="To load what fits, pass `strict=False`, which returns the keys that were left out.",
)  # fmt: skip

steps = Subject("Optimizers")
steps.differs(
    "Muon", """
    w = numbers(3, 2).requires_grad_(); opt = optim.Muon([w], lr=0.1); (w ** 2).sum().backward(); opt.step()
""",
    "`Muon` makes its steps orthogonal in the dtype of the parameters, in float32 at least, where torch rounds to "
    "bfloat16: steps differ by about 1 %. It also takes weights of convolutions.",
    remedy="Compare with a tolerance of 2 % of the step.",
)  # fmt: skip
steps.differs(
    "options of SGD", "keys = sorted(optim.SGD([torch.ones(1, requires_grad=True)]).param_groups[0])",
    "`SGD` has one more option, `decoupled_weight_decay`, as `Adam` has it. Its groups and its printed form list it.",
    remedy="Ask a group for the option that is needed, by its name.",
)  # fmt: skip

edge = Subject("Losses and layers")
edge.differs(
    "a loss of another shape", """
    loss = F.mse_loss(torch.ones(2, 1), torch.zeros(2))
""",
    "Losses refuse a target of another shape than the input's; torch broadcasts some, with a warning.",
    instead="loss = F.mse_loss(torch.ones(2, 1).expand(2, 2), torch.zeros(2).expand(2, 2))",
    remedy="Give both one shape: `target.view_as(output)`; the broadcast that torch warns of is hardly ever meant.",
)  # fmt: skip
edge.differs(
    "a loss of nothing", "loss = F.mse_loss(torch.zeros(0, 2), torch.zeros(0, 2))",
    "The mean of a loss over an empty batch raises an error, where torch returns nan.",
    remedy="Skip empty batches.",
)  # fmt: skip
edge.differs(
    "a row that is ignored", """
    x = torch.tensor([[float('inf'), 0.0], [0.0, 1.0]], requires_grad=True)
    F.cross_entropy(x, torch.tensor([-100, 1])).backward()
""",
    "A row that `cross_entropy` or `nll_loss` ignores has gradient 0, whatever it holds; torch's is nan where its "
    "scores are infinite or nan.",
)  # fmt: skip
edge.differs(
    "classes as short integers", """
    loss = F.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 1], dtype=torch.int16))
""",
    "Class indices may have any integer dtype, and masks of an assignment be of uint8.", raises="RuntimeError",
)  # fmt: skip
edge.differs(
    "an average of integers", """
    y = F.avg_pool2d(torch.arange(4).view(1, 1, 2, 2), 2)
""",
    "`avg_pool1d` to `avg_pool3d`, `interpolate` other than \"nearest\", `max_unpool`, `fold`, `unfold` and losses "
    "of two such tensors refuse integers and booleans; torch takes some, and cuts averages to integers.",
    instead="y = F.avg_pool2d(torch.arange(4).view(1, 1, 2, 2).float(), 2).long()", remedy="`x.float()` first.",
)  # fmt: skip
edge.differs(
    "normalisation over no pixels", """
    shape = nn.InstanceNorm1d(2)(torch.ones(4, 2)).shape
""",
    "`InstanceNorm1d` to `InstanceNorm3d` and `dropout3d` refuse other shapes; torch lets some pass, with a warning.",
    remedy="The error names the shape that is expected.",
)  # fmt: skip
edge.differs(
    "a window that hangs over", """
    y = F.avg_pool3d(torch.ones(1, 1, 1, 1, 1), 2, padding=1)
""",
    "`avg_pool3d` takes a window that is larger than the input, but not than the padded one.", raises="RuntimeError",
)  # fmt: skip
edge.differs(
    "eps below 0", """
    n = nn.BatchNorm1d(2, eps=-1e-3).num_features
""",
    "Refused where torch takes it: `avg_pool` of integers; ints and Tensors for True and False; a window of max "
    "pooling that lies wholly in the padding, where its index is asked for; `eps` below 0; a weight or target of "
    "another dtype than the input's in losses and normalisations (float16 takes parameters of float32).",
)  # fmt: skip
edge.differs(
    "arrays, lists and numbers", """
    p = nn.Parameter([1.0, 2.0]); y = torch.maximum(p, 1.5)
""",
    "Taken where torch refuses it: arrays and scalars of NumPy as operands, as numbers and in assignments; lists in"
    " assignments and in `Parameter`; numbers in `maximum`, `minimum` and, beside a Tensor, in `clamp`; `None` for "
    "an argument that is None by default; one size in a tuple, such as `(2,)`, for all dimensions; arrays whose "
    "strides are negative; dtypes that torch lacks an implementation for, such as integers in `max_pool1d` and in "
    "`interpolate` by nearest elements.",
    raises="AttributeError",
)  # fmt: skip
edge.differs(
    "a slice backwards", """
    x = torch.arange(4)[::-1]
""",
    "A slice may have a negative step. An index holds one `...`; torch takes more where nothing comes after them.",
    raises="ValueError",
)  # fmt: skip
edge.differs(
    "an index out of range of nothing", "y = torch.zeros(3, 0)[torch.tensor([7])]",
    "An index out of range is an error where the result is empty, too.",
)  # fmt: skip
edge.differs(
    "a product of booleans", "y = torch.zeros(0, 2, dtype=torch.bool) @ torch.zeros(2, 3, dtype=torch.bool)",
    "Products refuse booleans; torch takes them where there is nothing to be computed.",
)  # fmt: skip
edge.differs(
    "max pooling of integers in a row", "y = F.max_pool1d(torch.arange(4).view(1, 1, 4), 2)",
    "Some operators torch has on a CPU for fewer dtypes, or without a gradient.", raises="NotImplementedError",
)  # fmt: skip

limits = Subject("Infinities and second derivatives")
limits.differs(
    "a norm at 0", """
    x = torch.zeros(2, requires_grad=True)
    x.norm().backward(torch.tensor(float('inf')))
""",
    "The gradient of a norm at 0 is 0 for any upstream gradient, where torch's is nan for an infinite one; only the"
    " largest element of a norm with p = ∞ has one.",
)  # fmt: skip
limits.differs(
    "hardswish far out", "y = F.hardswish(torch.tensor([-float('inf')]))",
    "`hardswish` of −∞ is 0, where torch's is nan.",
)  # fmt: skip
limits.differs(
    "a power of 0, twice", """
    x, p = torch.zeros(1, requires_grad=True), torch.tensor([2.0], requires_grad=True)
    g, = torch.autograd.grad((x ** p).sum(), p, create_graph=True)
    h, = torch.autograd.grad(g.sum(), x)
""",
    "The second derivative of a power of 0 is 0, where torch's is nan.",
)  # fmt: skip
limits.differs(
    "elu at 0, twice", """
    x = torch.zeros(1, requires_grad=True)
    g, = torch.autograd.grad(F.elu(x).sum(), x, create_graph=True)
    h, = torch.autograd.grad(g.sum(), x)
""",
    "The second derivative of `elu` at 0 is that of its left side; torch's is 0.",
)  # fmt: skip

limits.note(
    "The loss of an infinite logit is infinite or 0, where torch's is nan.", untried="depends on the release of torch",
)  # fmt: skip
limits.note(
    "An infinity less an infinity is nan: where the terms of a gradient that is not finite are added in another "
    "order than torch's, one library may have nan where the other has an infinity.",
    untried="depends on the shape of the graph",
)  # fmt: skip
limits.note(
    "Linear interpolation beside an infinite element gives inf, nan or neither, not always as torch does.",
    untried="depends on rounding",
)  # fmt: skip
limits.note(
    "Which images without channels or pixels a layer accepts is not torch's choice in all cases.",
    untried="many cases, most of them equal",
)  # fmt: skip
limits.note(
    "On a GPU, `cross_entropy` and `nll_loss` of a class index out of range, and `binary_cross_entropy` of a value "
    "that is not a probability, are nan, where torch stops the device.",
    untried="needs a GPU",
)  # fmt: skip

absent = Subject("What is not to come")
ABSENT = {
    "recurrent layers": ("net = nn.LSTM(2, 3)", "`RNN`, `LSTM`, `GRU` and their cells."),
    "attention": ("net = nn.MultiheadAttention(4, 2)", "`MultiheadAttention` and transformers."),
    "jit": ("f = torch.jit.script(nn.Linear(1, 1)).in_features", "`torch.jit`, `torch.fx` and `torch.export`."),
    "sparse tensors": ("x = torch.zeros(2, 2).to_sparse().to_dense()", "Sparse and nested tensors."),
    "quantised tensors": ("x = torch.quantize_per_tensor(torch.ones(1), 0.1, 0, torch.qint8).dequantize()",
                          "Quantised tensors."),
    "complex numbers": ("x = torch.tensor([1j]).abs()", "Complex numbers and `torch.fft`."),
    "distributions": ("x = torch.distributions.Normal(0.0, 1.0).log_prob(torch.tensor(0.5))", "`torch.distributions`."),
}  # fmt: skip
for title, (code, sentence) in ABSENT.items():
    absent.differs(title, code, sentence)
