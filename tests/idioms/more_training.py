"""Idioms: what else is typed from memory, of nets and their training."""

from tests.idioms.idiom import Subject

graph = Subject("Training, from memory")
graph.same("deprecated names of init", """
    w = torch.empty(2, 3); nn.init.xavier_uniform(w); nn.init.normal(w, 0, 1); nn.init.constant(w, 0.5)
    nn.init.kaiming_normal(torch.empty(2, 3))
""")
graph.same("clip_grad_norm", """
    w = torch.ones(2, requires_grad=True); (w * 5).sum().backward()
    n = torch.nn.utils.clip_grad_norm_([w], 1.0, norm_type=2); m = nn.utils.clip_grad_norm_(w, float('inf'))
""")
graph.same("nn.modules and isinstance", """
    m = nn.Conv2d(1, 1, 1); a = isinstance(m, nn.modules.conv._ConvNd)
    b = isinstance(nn.BatchNorm2d(1), nn.modules.batchnorm._BatchNorm); c = isinstance(m, nn.modules.Module)
    d = isinstance(m, torch.nn.Module)
""")
graph.same("_modules, __class__, named_parameters as a dict", """
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU()); a = list(net._modules); b = net[0].__class__.__name__
    c = sorted(dict(net.named_parameters())); d = list(net._modules.keys())[0]; e = list(net[0]._parameters)
""")
graph.same("the first parameter", """
    net = fixed(nn.Linear(2, 1)); p = next(net.parameters()); a = p.is_cuda; b = p.device.type
    c = list(net.parameters())[0].shape; d = next(iter(net.state_dict().values())).shape
""")
graph.same("named_parameters with a prefix", """
    net = nn.Sequential(nn.Linear(1, 1)); a = [n for n, _ in net.named_parameters(prefix='net')]
    b = [n for n, _ in net.named_modules()]; c = [n for n, _ in net.named_parameters(recurse=False)]
    k = list(net.state_dict(prefix='x.'))
""")
graph.same("Sequential: insert, extend, pop, index", """
    net = nn.Sequential(nn.ReLU()); net.insert(0, nn.Linear(1, 1)); net.extend([nn.Tanh()])
    last = type(net.pop(2)).__name__; n = len(net); del net[1]; m = len(net); t = type(net[-1]).__name__
    k = list(net.state_dict())
""")
graph.same("ModuleList: insert, enumerate, zip", """
    ms = nn.ModuleList([nn.Linear(2, 2) for _ in range(2)]); ms.insert(1, nn.ReLU()); x = torch.ones(1, 2)
    for i, layer in enumerate(ms):
        x = layer(x)
    s = x.shape; r = [type(m).__name__ for m in reversed(ms)]; del layer
""", draws="x")
graph.same("a net built by add_module and register_module", """
    net = nn.Module(); net.add_module('fc', nn.Linear(2, 1)); net.register_module('act', nn.ReLU())
    k = [n for n, _ in net.named_children()]; s = list(net.state_dict())
""")
graph.same("train of parts", """
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5)); net.train(); net[0].eval()
    a = net[0].training, net[1].training
    for m in net.modules():
        if isinstance(m, nn.BatchNorm1d):
            m.eval(); m.weight.requires_grad = False
    r = net[0].weight.requires_grad; del m
""")
graph.same("momentum of BatchNorm changed", """
    bn = nn.BatchNorm2d(2); bn.momentum = 0.01; bn(numbers(2, 2, 3, 3)); r = bn.running_mean
    bn.reset_running_stats(); z = bn.running_mean; n = bn.num_batches_tracked
    m = nn.BatchNorm2d(2, momentum=None); m(numbers(2, 2, 3, 3)); c = m.running_var
""")
graph.same("dropout probability changed", "d = nn.Dropout(0.5); d.p = 0.0; y = d(torch.ones(3)); p = d.p")
graph.same("load_state_dict with assign and a copy", """
    a, b = fixed(nn.Linear(2, 1)), nn.Linear(2, 1); state = a.state_dict().copy(); state.pop('bias')
    b.load_state_dict(state, strict=False); w = b.weight; n = len(state); c = nn.Linear(2, 1)
    c.load_state_dict(a.state_dict(), assign=True); v = c.weight
""")
graph.same("state_dict is ordered and detached", """
    net = fixed(nn.Linear(2, 1)); s = net.state_dict(); r = s['weight'].requires_grad
    t = isinstance(s, collections.OrderedDict); v = net.state_dict(keep_vars=True)['weight'].requires_grad
    n = {k: tuple(v.shape) for k, v in s.items()}; del s
""")
graph.same("averaging the weights of two nets", """
    a, b = fixed(nn.Linear(2, 1)), fixed(nn.Linear(2, 1)); sd = a.state_dict(); other = b.state_dict()
    for k in sd:
        sd[k] = (sd[k] + 3 * other[k]) / 2
    a.load_state_dict(sd); w = a.weight
""")
graph.same("a custom loss as a Module", """
    class L(nn.Module):
        def __init__(self, margin=0.2):
            super().__init__()
            self.margin = margin
        def forward(self, a, b):
            return F.relu(self.margin - (a - b).abs()).mean()
    x = numbers(4).requires_grad_(); loss = L()(x, numbers(4)); loss.backward(); g = x.grad
""")
graph.same("a learnable parameter beside layers", """
    class M(nn.Module):
        def __init__(self):
            super().__init__()
            self.alpha = nn.Parameter(torch.tensor(0.5)); self.fc = nn.Linear(2, 2)
            self.register_buffer('scale', torch.tensor([2.0, 3.0]))
        def forward(self, x):
            return self.alpha * self.fc(x) * self.scale
    m = fixed(M()); y = m(numbers(3, 2)); y.sum().backward(); g = m.alpha.grad; k = list(m.state_dict())
""")
graph.same("a net that returns a tuple and a loss of parts", """
    lin = fixed(nn.Linear(3, 4)); h = lin(numbers(2, 3)); mu, logvar = h.chunk(2, dim=1)
    a, b = torch.split(h, 2, dim=1); loss = mu.pow(2).mean() + logvar.exp().sum(); loss.backward()
    g = lin.weight.grad
""")
graph.same("weights tied by transposition", """
    w = nn.Parameter(numbers(3, 2)); x = numbers(4, 2); h = F.linear(x, w); y = F.linear(h, w.t())
    F.mse_loss(y, x).backward(); g = w.grad
""")
graph.same("optimizer state after load on a new net", """
    net = fixed(nn.Linear(2, 1)); opt = optim.Adam(net.parameters(), lr=0.1)
    net(torch.ones(1, 2)).sum().backward(); opt.step(); sd = copy.deepcopy(opt.state_dict())
    opt2 = optim.Adam(net.parameters(), lr=0.5); opt2.load_state_dict(sd); opt2.step(); w = net.weight
    lr = opt2.param_groups[0]['lr']; del sd
""")
graph.same("set lr in all groups at once", """
    w = torch.ones(1, requires_grad=True); opt = optim.SGD([w], lr=0.1)
    for param_group in opt.param_groups:
        param_group['lr'] *= 0.1
        param_group['momentum'] = 0.9
    lr = opt.param_groups[0]['lr']; n = opt.param_groups[0]['params'][0] is w; del param_group
""")
graph.same("lr of a scheduler before its first step", """
    w = torch.ones(1, requires_grad=True); opt = optim.SGD([w], lr=0.1)
    s = lr_scheduler.LambdaLR(opt, lambda e: (e + 1) / 10); a = s.get_last_lr(); b = s.last_epoch
    c = s.base_lrs; t = isinstance(s, lr_scheduler.LRScheduler)
""")
graph.same("scheduler by iterations", """
    w = torch.ones(1, requires_grad=True); opt = optim.Adam([w], lr=0.01)
    s = lr_scheduler.OneCycleLR(opt, max_lr=0.1, steps_per_epoch=2, epochs=3); lrs = []
    for _ in range(6):
        opt.step(); s.step(); lrs.append(s.get_last_lr()[0])
    m = opt.param_groups[0]['betas'][0]
""")
graph.same("two optimizers, two losses", """
    a, b = fixed(nn.Linear(2, 2)), fixed(nn.Linear(2, 1))
    oa, ob = optim.SGD(a.parameters(), 0.1), optim.SGD(b.parameters(), 0.1); x = numbers(3, 2); oa.zero_grad()
    ob.zero_grad(); h = a(x); la = b(h).mean(); la.backward(retain_graph=True); lb = b(h.detach()).pow(2).mean()
    lb.backward(); oa.step(); ob.step(); w, v = a.weight, b.weight
""")
graph.same("parameters collected with + and chain", """
    import itertools
    a, b = nn.Linear(1, 1), nn.Linear(1, 1)
    opt = optim.Adam(list(a.parameters()) + list(b.parameters()), lr=0.1)
    n = len(opt.param_groups[0]['params'])
    opt2 = optim.Adam(itertools.chain(a.parameters(), b.parameters()), lr=0.1)
    m = len(opt2.param_groups[0]['params'])
""")
graph.same("a learning-rate finder", """
    net = fixed(nn.Linear(2, 1)); x, y = numbers(4, 2), numbers(4, 1)
    opt = optim.SGD(net.parameters(), lr=1e-3); lrs, losses = [], []
    for i in range(4):
        opt.zero_grad(); loss = F.mse_loss(net(x), y); loss.backward(); opt.step()
        lrs.append(opt.param_groups[0]['lr']); losses.append(loss.detach().item())
        opt.param_groups[0]['lr'] *= 2
""")
graph.same("progress printed", """
    epoch, batch_idx, n = 1, 10, 64; loss = torch.tensor(0.123456)
    print(
        'Train Epoch: {} [{}/{} ({:.0f}%)]\\tLoss: {:.6f}'.format(
            epoch, batch_idx * n, 60000, 100.0 * batch_idx / 938, loss.item()
        )
    )
    print('loss: %.4f acc: %5.2f%%' % (loss, 98.7))
    print(f'{loss:.2f}', f'{loss.item():>8.3f}', '{:<10.2e}|'.format(loss))
""")
graph.same("an average meter", """
    class AverageMeter:
        def __init__(self):
            self.sum = self.count = 0
        def update(self, val, n=1):
            self.sum += val * n; self.count += n
        @property
        def avg(self):
            return self.sum / self.count
    m = AverageMeter()
    for v in torch.tensor([1.0, 2.0, 4.0]):
        m.update(v.item(), 2)
    avg = m.avg
""")
graph.same("autocast and GradScaler as a whole, on a CPU", """
    net = fixed(nn.Linear(2, 1)); opt = optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler('cpu', enabled=False)
    with torch.autocast('cpu', enabled=False):
        loss = net(torch.ones(1, 2)).sum()
    scaler.scale(loss).backward(); scaler.unscale_(opt); nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    scaler.step(opt); scaler.update(); w = net.weight
""")
graph.same("cuda's memory counters without a GPU", """
    a = torch.cuda.memory_allocated() if torch.cuda.is_available() else 0
    b = torch.cuda.is_available() and torch.cuda.get_device_name(0)
""")
for what, code in {
    "a product": "torch.ones(2, 3) @ torch.ones(2, 3)", "a sum": "torch.ones(2) + torch.ones(3)",
    "a view": "torch.ones(6).view(4, 2)", "a reshape": "torch.ones(6).reshape(4, 2)",
    "cat": "torch.cat([torch.ones(2, 2), torch.ones(2, 3)], 0)", "stack": "torch.stack([torch.ones(2), torch.ones(3)])",
    "Linear": "nn.Linear(2, 3)(torch.ones(1, 5))", "Conv2d": "nn.Conv2d(3, 6, 3)(torch.ones(1, 1, 8, 8))",
    "a truth": "bool(torch.ones(2))", "an item": "torch.ones(2).item()",
    "a small image": "nn.Conv2d(1, 1, 5)(torch.ones(1, 1, 3, 3))",
}.items():
    graph.same(f"a RuntimeError of a wrong shape: {what}", f"""
        try:
            {code}
        except RuntimeError:
            caught = True
    """)
graph.same("no_grad around parameters' update with copy_", """
    a, b = fixed(nn.Linear(2, 1)), nn.Linear(2, 1)
    with torch.no_grad():
        for p, q in zip(b.parameters(), a.parameters()):
            p.copy_(q)
        b.weight.mul_(0.5); b.bias.fill_(0.0); b.weight[0, 0] = 7.0
    w = b.weight; z = b.bias; del p, q
""")
graph.same("gradient noise and scaling by hand", """
    net = fixed(nn.Linear(2, 1)); net(torch.ones(1, 2)).sum().backward()
    for p in net.parameters():
        p.grad.mul_(0.5); p.grad += 1.0; p.grad.data.clamp_(-1, 1.2)
    g, h = net.weight.grad, net.bias.grad; del p
""")
graph.same("gradients set by hand", """
    w = torch.zeros(2, requires_grad=True); w.grad = torch.tensor([1.0, -1.0]); optim.SGD([w], lr=0.5).step()
    w.grad[0] = 5; g = w.grad; w.grad = None; n = w.grad is None
""")
graph.same("hooks that clip gradients", """
    w = torch.tensor([1.0, 2.0], requires_grad=True); w.register_hook(lambda grad: torch.clamp(grad, -0.5, 0.5))
    (w ** 2).sum().backward(); g = w.grad; o = optim.SGD([w], lr=1.0); o.step()
""")
graph.same("grad of a loss by many parameters", """
    net = fixed(nn.Linear(2, 1)); loss = net(torch.ones(1, 2)).sum()
    gs = torch.autograd.grad(loss, net.parameters(), create_graph=False)
    flat = torch.cat([g.reshape(-1) for g in gs]); n = flat.norm()
""")
graph.same("MAML's inner step", """
    net = fixed(nn.Linear(2, 1)); x, y = numbers(4, 2), numbers(4, 1); w, b = net.weight, net.bias
    loss = F.mse_loss(F.linear(x, w, b), y); gw, gb = torch.autograd.grad(loss, (w, b), create_graph=True)
    outer = F.mse_loss(F.linear(x, w - 0.1 * gw, b - 0.1 * gb), y); outer.backward(); g = w.grad
""")
graph.same("a gradient through an argmax is cut", """
    x = numbers(2, 3).requires_grad_(); i = x.argmax(1); r = i.requires_grad; d = x.max(1)[1].requires_grad
    s = (x > 0).requires_grad; n = x.detach().numpy().argmax(1)
""")
graph.same("double precision throughout", """
    torch.set_default_dtype(torch.float64); net = nn.Linear(2, 1); a = net.weight.dtype
    b = torch.randn(2).dtype; c = torch.tensor(1.5).dtype; d = torch.from_numpy(np.ones(1, np.float32)).dtype
    e = torch.arange(3).dtype; f = torch.linspace(0, 1, 3).dtype; torch.set_default_dtype(torch.float32)
    del net
""")
graph.same("mismatch of float and double is refused", """
    nn.Linear(2, 1)(torch.ones(1, 2, dtype=torch.float64))
""", raises="RuntimeError")
graph.same("mismatch of float and long is refused", "nn.Linear(2, 1)(torch.ones(1, 2).long())", raises="RuntimeError")
graph.same("loss.backward() of a detached loss", """
    loss = torch.ones(1, requires_grad=True).sum().detach(); loss.backward()
""", raises="RuntimeError")
graph.same("the wrong number of arguments of forward", "nn.Linear(2, 1)()", raises="TypeError")
graph.same("an unknown keyword of a layer", "nn.Conv2d(1, 1, 3, strides=2)", raises="TypeError")
graph.same("kernel sizes as keywords and tuples", """
    x = numbers(1, 1, 6, 7)
    a = fixed(
        nn.Conv2d(in_channels=1, out_channels=2, kernel_size=(3, 5), stride=(2, 1), padding=(0, 1), bias=True)
    )(x)
    b = nn.MaxPool2d(kernel_size=(2, 3), stride=None)(x); c = nn.AvgPool2d((2, 2), (1, 1))(x)
    d = nn.MaxPool2d(2, ceil_mode=True)(x); e = nn.MaxPool2d(3, 2, 1)(x)
""")
graph.same("global average pooling in five ways", """
    x = numbers(2, 3, 4, 4); a = x.mean(dim=(2, 3)); b = F.adaptive_avg_pool2d(x, 1).flatten(1)
    c = F.avg_pool2d(x, x.size()[2:]).view(2, -1); d = nn.AdaptiveAvgPool2d(1)(x).squeeze(-1).squeeze(-1)
    e = x.view(2, 3, -1).mean(2)
""")
graph.same("F.dropout follows self.training", """
    class M(nn.Module):
        def forward(self, x):
            return F.dropout(x, p=0.5, training=self.training)
    m = M().eval(); y = m(torch.ones(4)); z = F.dropout(torch.ones(3), 0.0)
""")
graph.same("upsampling by F.upsample and F.interpolate", """
    x = torch.arange(4.0).view(1, 1, 2, 2); a = F.interpolate(x, scale_factor=2)
    b = F.interpolate(x, size=(4, 4), mode='bilinear', align_corners=True)
    c = F.interpolate(x, scale_factor=(2, 1)); d = nn.Upsample((4, 4), mode='bilinear', align_corners=False)(x)
    e = F.upsample(x, scale_factor=2, mode='nearest')
""")
graph.same("losses with weights and ignore_index", """
    x, t = numbers(4, 3), torch.tensor([0, 2, -100, 1]); a = F.cross_entropy(x, t)
    b = nn.CrossEntropyLoss(weight=torch.tensor([0.2, 1.0, 2.0]), ignore_index=-100)(x, t)
    c = nn.NLLLoss(reduction='none')(F.log_softmax(x, 1), t)
    d = F.cross_entropy(x, t, reduction='mean', label_smoothing=0.1)
""")
graph.same("BCE with weights", """
    x, t = numbers(3, 2), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    a = nn.BCEWithLogitsLoss(weight=torch.tensor([1.0, 2.0]))(x, t)
    b = F.binary_cross_entropy_with_logits(x, t, pos_weight=torch.tensor([3.0, 1.0]), reduction='none')
    c = F.binary_cross_entropy(torch.sigmoid(x), t, weight=torch.ones(3, 2) * 2)
""")
graph.same("an output of one column against labels of no column", """
    x = numbers(4, 1); t = torch.tensor([0.0, 1.0, 1.0, 0.0])
    a = F.binary_cross_entropy_with_logits(x.squeeze(1), t); b = F.mse_loss(x, t.unsqueeze(1))
    c = F.mse_loss(x.view(-1), t); d = ((torch.sigmoid(x).squeeze() > 0.5).float() == t).float().mean()
""")
graph.same("data_parallel-like splitting of a batch", """
    net = fixed(nn.Linear(2, 1)); x = numbers(5, 2); y = torch.cat([net(part) for part in x.split(2)])
    same = torch.allclose(y, net(x), atol=1e-6)
""")
graph.same("tensors in dictionaries moved to a device", """
    batch = {'x': torch.ones(2), 'y': torch.tensor([1])}; device = torch.device('cpu')
    batch = {k: v.to(device, non_blocking=True) for k, v in batch.items()}
""")
graph.same("averages of weights", """
    swa = torch.optim.swa_utils
    net = fixed(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    ema = swa.AveragedModel(net, multi_avg_fn=swa.get_ema_multi_avg_fn(0.9))
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    scheduler = swa.SWALR(optimizer, swa_lr=0.05, anneal_epochs=2); rates = []
    for _ in range(3):
        optimizer.zero_grad(); net(numbers(4, 2)).sum().backward(); optimizer.step(); ema.update_parameters(net)
        scheduler.step(); rates.append(scheduler.get_last_lr()[0])
    swa.update_bn([numbers(4, 2)], ema)
    y = ema.eval()(numbers(3, 2)); keys = list(ema.state_dict()); n = ema.n_averaged
    del swa
""")
graph.same("attributes before super().__init__()", """
    class Net(nn.Module):
        def __init__(self, width):
            self.width = width
            super().__init__()
            self.fc = nn.Linear(width, 1)
    n = Net(3).width; k = list(Net(2).state_dict())
""")
graph.same("a submodule before super().__init__()", """
    class Net(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(1, 1)
    Net()
""", raises="AttributeError")
graph.same("hooks of old checkpoints", """
    net = nn.Sequential(nn.Linear(2, 1))
    def rename(state_dict, prefix, *more):
        for key in list(state_dict):
            state_dict[key.replace('module.', '')] = state_dict.pop(key)
    net._register_load_state_dict_pre_hook(rename)
    done = str(net.load_state_dict({'module.0.weight': torch.ones(1, 2), 'module.0.bias': torch.ones(1)}))
    y = net(torch.ones(1, 2))
""")
graph.same("a checkpoint without num_batches_tracked", """
    bn = nn.BatchNorm2d(2); state = {k: v for k, v in bn.state_dict().items() if not k.endswith('tracked')}
    done = str(bn.load_state_dict(state)); version = bn._version
""")
graph.same("hooks with keyword arguments", """
    net, seen = nn.Identity(), []
    net.register_forward_hook(lambda m, args, kwargs, out: seen.append(len(kwargs)), with_kwargs=True)
    net.register_forward_hook(lambda m, args, out: seen.append('first'), prepend=True)
    net.register_full_backward_pre_hook(lambda m, g: (g[0] * 2,))
    x = torch.ones(2, requires_grad=True); net(x).sum().backward(); g = x.grad
""")
graph.same("paths below nn.modules", """
    parts = torch.nn.modules; a = parts.utils._pair(3); b = issubclass(nn.MSELoss, parts.loss._Loss)
    c = parts.upsampling.Upsample is nn.Upsample; n = nn.ReLU()._get_name(); del parts
""")
graph.same("AlphaDropout in eval, RReLU, clips of integers", """
    net = nn.Sequential(nn.AlphaDropout(0.2), nn.RReLU(), nn.FeatureAlphaDropout()).eval(); y = net(numbers(2, 3))
    a = F.relu6(torch.tensor([-1, 3, 9])); b = F.hardtanh(torch.tensor([-5, 1]), -2, 2); text = repr(net)
    x = numbers(4); F.leaky_relu_(x, 0.2); z = numbers(3); F.elu_(z); l = nn.MultiLabelMarginLoss()(
        numbers(2, 3), torch.tensor([[1, -1, 0], [2, 0, -1]]))
""")
graph.same("LBFGS with a line search", """
    w = torch.tensor([-1.2, 1.0], requires_grad=True)
    optimizer = optim.LBFGS([w], max_iter=12, line_search_fn='strong_wolfe')
    def closure():
        optimizer.zero_grad(); loss = (1 - w[0]) ** 2 + 10 * (w[1] - w[0] ** 2) ** 2; loss.backward()
        return loss
    loss = optimizer.step(closure); n = optimizer.state[w]['func_evals']
""")
graph.same("what a schedule saves", """
    optimizer = optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1, momentum=0.9)
    a = dict(optim.lr_scheduler.MultiStepLR(optimizer, [2, 4, 4]).state_dict()['milestones'])
    b = optim.lr_scheduler.LambdaLR(optimizer, lambda e: 0.5 ** e).state_dict()['lr_lambdas']
    c = optim.lr_scheduler.OneCycleLR(optimizer, 0.5, 10).state_dict()['_schedule_phases']
""")
