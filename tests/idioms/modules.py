"""Idioms: Module and containers; layers and their functions; initialisation."""

from tests.idioms.idiom import Subject

module = Subject("Module")
NET = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(4, 3)
        self.fc2 = nn.Linear(3, 2)
    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))
"""
module.same("a net of two layers", """
    net = fixed(Net()); y = net(numbers(5, 4)); text = repr(net)
""", before=NET)
module.same("super(Net, self).__init__()", """
    class Net(nn.Module):
        def __init__(self):
            super(Net, self).__init__()
            self.conv = nn.Conv2d(1, 2, 3)
        def forward(self, x):
            return self.conv(x)
    net = Net(); n = sum(p.numel() for p in net.parameters())
""")
module.same("named_parameters, named_modules, children", """
    net = Net(); a = [n for n, _ in net.named_parameters()]; b = [n for n, _ in net.named_modules()]
    c = [n for n, _ in net.named_children()]; d = len(list(net.modules())); e = len(list(net.children()))
""", before=NET)
module.same("counting parameters", """
    net = Net(); n = sum(p.numel() for p in net.parameters() if p.requires_grad)
    size = sum(p.nelement() * p.element_size() for p in net.parameters())
""", before=NET)
module.same("a Parameter is registered", """
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))
        def forward(self, x):
            return x * self.scale
    m = M(); y = m(torch.ones(2)); names = [n for n, _ in m.named_parameters()]
    t = isinstance(m.scale, torch.Tensor); p = isinstance(m.scale, nn.Parameter)
    text = repr(nn.Parameter(torch.ones(2)))
""")
module.same("Parameter without a gradient", """
    p = nn.Parameter(torch.zeros(2), requires_grad=False); q = torch.nn.Parameter(torch.ones(1))
    r = nn.parameter.Parameter(torch.ones(1))
""")
module.same("register_parameter, register_buffer", """
    m = nn.Module(); m.register_parameter('w', nn.Parameter(torch.ones(1)))
    m.register_buffer('b', torch.zeros(2)); m.register_parameter('n', None)
    m.register_buffer('t', torch.ones(1), persistent=False); keys = list(m.state_dict()); n = m.n
    buffers = [k for k, _ in m.named_buffers()]
""")
module.same("state_dict and load_state_dict", """
    a, b = fixed(Net()), Net(); result = b.load_state_dict(a.state_dict()); keys = list(a.state_dict().keys())
    x = numbers(2, 4); same = torch.equal(a(x), b(x)); text = str(result)
""", before=NET)
module.same("a missing key", "nn.Linear(2, 1).load_state_dict({'weight': torch.ones(1, 2)})", raises="RuntimeError")
module.same("a key of another shape", """
    nn.Linear(2, 1).load_state_dict({'weight': torch.ones(1, 3), 'bias': torch.ones(1)})
""", raises="RuntimeError")
module.same("strict=False", """
    m = nn.Linear(2, 1)
    r = m.load_state_dict({'weight': torch.ones(1, 2), 'other': torch.ones(1)}, strict=False)
    missing = r.missing_keys; unexpected = r.unexpected_keys; w = m.weight; a, b = r
""")
module.same("state_dict with a part of its keys", """
    net = fixed(Net()); d = net.state_dict(); part = {k: v for k, v in d.items() if k.startswith('fc1')}
    own = net.state_dict(); own.update(part); net.load_state_dict(own); keys = sorted(part)
""", before=NET)
module.same("keys without 'module.'", """
    from collections import OrderedDict
    state = OrderedDict((('module.' + k), v) for k, v in fixed(nn.Linear(2, 1)).state_dict().items())
    net = nn.Linear(2, 1); net.load_state_dict({k.replace('module.', ''): v for k, v in state.items()})
    w = net.weight
""")
module.same("train and eval", """
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)); a = net.training; net.eval()
    b = [m.training for m in net]; net.train(); c = net[0].training; net.train(False); d = net.training
""")
module.same("eval() returns the net", "net = nn.Dropout(0.9).eval(); x = torch.ones(3); y = net(x)")
module.same("apply initialises", """
    def init_weights(m):
        if isinstance(m, nn.Linear):
            nn.init.constant_(m.weight, 0.5)
            m.bias.data.fill_(0.01)
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    net.apply(init_weights)
    w = net[0].weight; b = net[2].bias
""")
module.same("weights_init by class name", """
    def weights_init(m):
        classname = m.__class__.__name__
        if classname.find('Conv') != -1:
            nn.init.normal_(m.weight.data, 0.0, 0.02)
        elif classname.find('BatchNorm') != -1:
            nn.init.normal_(m.weight.data, 1.0, 0.02)
            nn.init.constant_(m.bias.data, 0)
    net = nn.Sequential(nn.ConvTranspose2d(4, 2, 4, bias=False), nn.BatchNorm2d(2))
    net.apply(weights_init)
    b = net[1].bias; small = net[0].weight.std().item() < 0.1
""")
module.same("freezing layers", """
    net = Net()
    for p in net.fc1.parameters():
        p.requires_grad = False
    names = [n for n, p in net.named_parameters() if p.requires_grad]
    opt = optim.SGD(filter(lambda p: p.requires_grad, net.parameters()), lr=0.1)
    n = len(opt.param_groups[0]['params'])
""", before=NET, draws="p")
module.same("requires_grad_ of a module", """
    net = fixed(nn.Linear(2, 1)).requires_grad_(False); r = [p.requires_grad for p in net.parameters()]
    y = net(torch.ones(1, 2))
""")
module.same("zero_grad of a module", """
    net = fixed(nn.Linear(2, 1)); net(torch.ones(1, 2)).sum().backward(); net.zero_grad(); a = net.weight.grad
    net(torch.ones(1, 2)).sum().backward(); net.zero_grad(set_to_none=False); b = net.weight.grad
""")
module.same("a head is replaced", """
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)); net[2] = nn.Linear(3, 5)
    a = net[2].out_features; net.add_module('last', nn.Softmax(dim=1)); n = len(net)
    s = net(numbers(2, 4)).shape
""")
module.same("Sequential by name", """
    from collections import OrderedDict
    net = nn.Sequential(OrderedDict([('fc', nn.Linear(2, 3)), ('act', nn.ReLU())])); a = net.fc.weight.shape
    k = list(net.state_dict()); text = repr(net)
""")
module.same("Sequential: slices, iteration, append", """
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)); a = len(net[:2])
    b = [type(m).__name__ for m in net]; net.append(nn.Tanh()); c = type(net[-1]).__name__
    d = nn.Sequential(*list(net.children())[:-1]); e = len(d)
""")
module.same("Sequential of a list", """
    layers = []
    layers += [nn.Conv2d(1, 2, 3), nn.ReLU(True)]
    layers.append(nn.MaxPool2d(2, 2))
    net = nn.Sequential(*layers); s = net(torch.zeros(1, 1, 6, 6)).shape; text = repr(net)
""")
module.same("ModuleList", """
    ms = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)]); ms.append(nn.ReLU()); ms += [nn.Tanh()]
    ms.extend([nn.Sigmoid()]); n = len(ms); k = len(list(ms.parameters())); t = type(ms[-1]).__name__
    i = [type(m).__name__ for m in ms[3:]]
""")
module.same("ModuleDict", """
    md = nn.ModuleDict({'a': nn.Linear(2, 1), 'b': nn.ReLU()}); md['c'] = nn.Tanh(); keys = list(md.keys())
    n = len(md); has = 'a' in md; names = [k for k, _ in md.items()]; text = repr(md)
""")
module.same("ParameterList, ParameterDict", """
    pl = nn.ParameterList([nn.Parameter(torch.ones(2)) for _ in range(2)])
    pl.append(nn.Parameter(torch.zeros(1))); n = len(list(pl.parameters()))
    pd = nn.ParameterDict({'w': nn.Parameter(torch.ones(1))}); k = list(pd.keys()); s = list(pl.state_dict())
""")
module.same("forward hooks", """
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU()); seen = []
    h = net[0].register_forward_hook(lambda m, i, o: seen.append((tuple(i[0].shape), tuple(o.shape))))
    net(torch.ones(4, 2)); h.remove(); net(torch.ones(1, 2)); n = len(seen)
""")
module.same("a dictionary of activations", """
    activation = {}
    def get_activation(name):
        def hook(model, input, output):
            activation[name] = output.detach()
        return hook
    net = fixed(nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    net[0].register_forward_hook(get_activation('fc'))
    y = net(numbers(2, 3))
    a = activation['fc']
""")
module.same("pre-hooks that change the input", """
    net = fixed(nn.Linear(2, 1)); net.register_forward_pre_hook(lambda m, i: (i[0] * 2,))
    y = net(torch.ones(1, 2))
""")
module.same("hooks that change the output", """
    net = fixed(nn.Linear(2, 1)); net.register_forward_hook(lambda m, i, o: o + 1); y = net(torch.ones(1, 2))
""")
module.same("full backward hooks", """
    net = fixed(nn.Linear(2, 1)); seen = []
    net.register_full_backward_hook(lambda m, gi, go: seen.append((gi[0].clone(), go[0].clone())))
    x = torch.ones(3, 2, requires_grad=True); net(x).sum().backward()
""")
module.same("to, double, half, float", """
    net = nn.Linear(2, 1); net.double(); a = net.weight.dtype; net.half(); b = net.weight.dtype; net.float()
    c = net.weight.dtype; net.to(torch.float64); d = net.bias.dtype; e = net.to('cpu') is net
    net.type(torch.float32); f = net.weight.dtype
""")
module.same("cuda() is guarded", """
    use_cuda = torch.cuda.is_available()
    net = nn.Linear(1, 1)
    if use_cuda:
        net = net.cuda()
    ok = not use_cuda; net.cpu()
""")
module.same("get_parameter, get_submodule, get_buffer", """
    net = Net(); a = net.get_submodule('fc1').in_features; b = net.get_parameter('fc2.bias').shape
    c = nn.BatchNorm1d(2).get_buffer('running_mean')
""", before=NET)
module.same("reset_parameters", """
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.Linear(2, 2),
        nn.ConvTranspose2d(1, 1, 2),
        nn.LayerNorm(3),
        nn.GroupNorm(1, 2),
    )
    before = net[0].weight.clone()
    for layer in net.children():
        if hasattr(layer, 'reset_parameters'):
            layer.reset_parameters()
    changed = not torch.equal(before, net[0].weight)
""", draws="before")
module.same("deepcopy of a net", """
    a = fixed(Net()); b = copy.deepcopy(a); b.fc1.weight.data.zero_(); s = a.fc1.weight; z = b.fc1.weight
""", before=NET)
module.same("shared weights", """
    a, b = nn.Linear(3, 3), nn.Linear(3, 3); b.weight = a.weight; net = nn.Sequential(a, b)
    n = len(list(net.parameters())); same = b.weight is a.weight; k = list(net.state_dict())
""")
module.same("hasattr, getattr, setattr, del", """
    net = Net(); a = hasattr(net, 'fc1'); b = hasattr(net, 'nothing'); setattr(net, 'fc3', nn.Linear(2, 2))
    c = len(list(net.children())); del net.fc3; d = len(list(net.children()))
    e = getattr(net, 'fc2').out_features
""", before=NET)
module.same("an attribute that is not there", "nn.Linear(1, 1).nothing", raises="AttributeError")
module.same("a plain tensor is no parameter", """
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.ones(2)
    m = M(); n = len(list(m.parameters())); k = list(m.state_dict())
""")
module.same("a layer assigned before super().__init__()", """
    class M(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)
    M()
""", raises="AttributeError")
module.same("forward is missing", """
    class M(nn.Module):
        pass
    M()(torch.ones(1))
""", raises="NotImplementedError")
module.same("forward with keywords", """
    class M(nn.Module):
        def forward(self, x, scale=1.0, *, shift=0.0):
            return x * scale + shift
    y = M()(torch.ones(2), scale=3.0, shift=1.0)
""")
module.same("several outputs", """
    class M(nn.Module):
        def forward(self, x):
            return x, {'double': x * 2}
    a, b = M()(torch.ones(2)); c = b['double']
""")
module.same("extra_repr", """
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.k = 3
        def extra_repr(self):
            return f'k={self.k}'
    text = repr(M())
""")
module.same("repr of layers", """
    text = [
        repr(m)
        for m in (
            nn.Conv2d(1, 2, 3, padding=1),
            nn.BatchNorm2d(3),
            nn.MaxPool2d(2),
            nn.Dropout(0.25),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((1, 1)),
            nn.ConvTranspose2d(2, 1, 4, 2, 1, bias=False),
            nn.Softmax(dim=1),
            nn.Flatten(),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
        )
    ]
""")
module.same("lazy layers", """
    net = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    y = net(torch.zeros(2, 1, 6, 6)); s = net[0].weight.shape; t = net[3].in_features; k = type(net[0]).__name__
""", draws="y")
module.same("LazyBatchNorm2d", "bn = nn.LazyBatchNorm2d(); y = bn(numbers(2, 3, 4, 4)); n = bn.num_features")
module.same("Identity", "net = nn.Identity(); y = net(torch.ones(2)); m = nn.Identity(54, unused=1)")
module.same("buffers follow to()", """
    bn = nn.BatchNorm1d(2).double(); a = bn.running_mean.dtype; b = bn.num_batches_tracked.dtype
    bn.to(torch.float32); c = bn.running_var.dtype
""")
module.same("a net in a list of losses", """
    net = fixed(Net()); x, y = numbers(6, 4), torch.tensor([0, 1, 0, 1, 1, 0])
    loss = F.cross_entropy(net(x), y); loss.backward(); g = net.fc1.weight.grad
    total = sum(p.grad.norm(2).item() ** 2 for p in net.parameters()) ** 0.5
""", before=NET)
module.same("parameters_to_vector and back", """
    net = fixed(nn.Linear(2, 2)); v = nn.utils.parameters_to_vector(net.parameters())
    nn.utils.vector_to_parameters(v * 2, net.parameters()); w = net.weight
""")
module.same("weight_norm, spectral_norm leave shapes", """
    net = nn.utils.spectral_norm(nn.Linear(3, 2)); s = net(torch.ones(1, 3)).shape; k = sorted(net.state_dict())
""")
module.same("share the trunk, two heads", """
    trunk, a, b = fixed(nn.Linear(3, 4)), fixed(nn.Linear(4, 1)), fixed(nn.Linear(4, 2))
    h = torch.relu(trunk(numbers(2, 3))); (a(h).sum() + b(h).pow(2).sum()).backward(); g = trunk.weight.grad
""")
module.same("DataParallel without a GPU", """
    net = nn.DataParallel(fixed(nn.Linear(2, 1))); y = net(torch.ones(3, 2)); k = list(net.state_dict())
    inner = net.module.in_features
""")
module.same("compile", """
    net = fixed(nn.Linear(2, 1)); fast = torch.compile(net, backend='eager'); y = fast(torch.ones(1, 2)); del fast
""")
