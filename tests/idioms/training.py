"""Idioms: optimizers and schedulers; loops of training."""

from tests.idioms.idiom import Subject

steps = Subject("Optimizers and schedulers")
START = """
w = torch.tensor([1.0, -2.0], requires_grad=True)
def step(opt, n=3):
    for _ in range(n):
        opt.zero_grad()
        (w ** 2).sum().backward()
        opt.step()
"""
for title, call in {
    "SGD": "optim.SGD([w], lr=0.1)",
    "SGD with momentum": "torch.optim.SGD([w], lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)",
    "SGD with dampening and maximize": "optim.SGD([w], 0.01, momentum=0.9, dampening=0.1, maximize=True)",
    "Adam": "optim.Adam([w], lr=1e-2, betas=(0.5, 0.999))",
    "Adam with amsgrad and weight decay": "optim.Adam([w], lr=1e-2, weight_decay=0.01, amsgrad=True, eps=1e-6)",
    "Adam with decoupled weight decay": "optim.Adam([w], lr=1e-2, weight_decay=0.1, decoupled_weight_decay=True)",
    "AdamW": "optim.AdamW([w], lr=1e-2, weight_decay=0.1)",
    "RMSprop": "optim.RMSprop([w], lr=0.01, alpha=0.9, momentum=0.5)",
    "Adagrad": "optim.Adagrad([w], lr=0.1)",
    "Adadelta": "optim.Adadelta([w], lr=1.0, rho=0.9)",
    "Adamax": "optim.Adamax([w], lr=0.1)",
    "NAdam": "optim.NAdam([w], lr=0.1)",
    "foreach and fused": "optim.Adam([w], lr=0.1, foreach=True)",
}.items():
    steps.same(title, f"{START}opt = {call}; step(opt)")
steps.same("param groups", """
    a, b = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    opt = optim.SGD([{'params': [a]}, {'params': [b], 'lr': 0.01}], lr=0.1, momentum=0.9)
    (a.sum() + b.sum()).backward(); opt.step(); lrs = [g['lr'] for g in opt.param_groups]
    keys = sorted(set(opt.param_groups[0]) & {'params', 'lr', 'momentum', 'weight_decay', 'nesterov'})
""")
steps.same("param groups of a net", """
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    opt = optim.Adam([{'params': net[0].parameters(), 'lr': 1e-4}, {'params': net[1].parameters()}], lr=1e-3)
    n = [len(g['params']) for g in opt.param_groups]; lrs = [g['lr'] for g in opt.param_groups]
""")
steps.same("weight decay for some parameters", """
    net = fixed(nn.Linear(2, 2)); decay = [p for n, p in net.named_parameters() if not n.endswith('bias')]
    rest = [p for n, p in net.named_parameters() if n.endswith('bias')]
    opt = optim.AdamW([{'params': decay, 'weight_decay': 0.5}, {'params': rest, 'weight_decay': 0.0}], lr=0.1)
    net(torch.ones(1, 2)).sum().backward(); opt.step(); w, b = net.weight, net.bias
""")
steps.same("add_param_group", """
    a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True); opt = optim.SGD([a], lr=0.1)
    opt.add_param_group({'params': b, 'lr': 1.0}); (a + b).sum().backward(); opt.step()
    n = len(opt.param_groups)
""")
steps.same("the lr changed by hand", """
    opt = optim.SGD([w], lr=0.1)
    for epoch in range(3):
        for g in opt.param_groups:
            g['lr'] = 0.1 * (0.5 ** epoch)
        step(opt, 1)
    del g
    lr = opt.param_groups[0]['lr']
""", before=START)
steps.same("adjust_learning_rate", """
    def adjust_learning_rate(optimizer, epoch):
        lr = 0.1 * (0.1 ** (epoch // 2))
        for param_group in optimizer.param_groups:
            param_group['lr'] = lr
    opt = optim.Adam([w], lr=0.1); adjust_learning_rate(opt, 3); step(opt); lr = opt.param_groups[0]['lr']
""", before=START)
steps.same("zero_grad", """
    opt = optim.SGD([w], lr=0.1); (w ** 2).sum().backward(); opt.zero_grad(); a = w.grad
    (w ** 2).sum().backward(); opt.zero_grad(set_to_none=False); b = w.grad
""", before=START)
steps.same("step with a closure", """
    w = torch.tensor([3.0], requires_grad=True); opt = optim.SGD([w], lr=0.1)
    def closure():
        opt.zero_grad()
        loss = (w ** 2).sum()
        loss.backward()
        return loss
    loss = opt.step(closure)
""")
steps.same("LBFGS", """
    w = torch.tensor([3.0, -1.0], requires_grad=True); opt = optim.LBFGS([w], lr=0.5)
    def closure():
        opt.zero_grad()
        loss = ((w - 1) ** 2).sum()
        loss.backward()
        return loss
    for _ in range(3):
        opt.step(closure)
    close = bool(((w - 1).abs() < 1e-2).all())
""", draws="w")
steps.same("state_dict of an optimizer", """
    opt = optim.SGD([w], lr=0.1, momentum=0.9); step(opt, 2); d = opt.state_dict(); keys = sorted(d)
    buf = d['state'][0]['momentum_buffer'].clone(); lr = d['param_groups'][0]['lr']
    ids = d['param_groups'][0]['params']; other = optim.SGD([w], lr=0.5, momentum=0.9); other.load_state_dict(d)
    step(other, 1); lr2 = other.param_groups[0]['lr']; del d
""", before=START)
steps.same("state_dict of Adam", """
    opt = optim.Adam([w], lr=0.1); step(opt, 2); s = opt.state_dict()['state'][0]; keys = sorted(s)
    a, b = s['exp_avg'], s['exp_avg_sq']; n = float(s['step']); del s
""", before=START)
steps.same("optimizer.state by parameter", """
    opt = optim.Adam([w], lr=0.1); step(opt, 1); s = opt.state[w]; m = s['exp_avg']; n = len(opt.state); del s
""", before=START)
steps.same("an empty parameter list", "optim.SGD([], lr=0.1)", raises="ValueError")
steps.same("a negative lr", "optim.SGD([torch.ones(1, requires_grad=True)], lr=-1)", raises="ValueError")
steps.same("a tensor instead of a list", "optim.SGD(torch.ones(1, requires_grad=True), lr=0.1)", raises="TypeError")
steps.same("not a leaf", "w = torch.ones(1, requires_grad=True); optim.SGD([w * 2], lr=0.1)", raises="ValueError")
steps.same("defaults of an optimizer", """
    w = torch.ones(1, requires_grad=True); a = optim.Adam([w]).param_groups[0]['lr']
    b = optim.Adam([w]).defaults['betas']; c = optim.SGD([w]).defaults['lr']
    d = optim.AdamW([w]).defaults['weight_decay']
""")
LOOP = "w = torch.ones(1, requires_grad=True)\nopt = optim.SGD([w], lr=0.1)\nlrs = []\n"
TURN = """
for epoch in range(8):
    opt.step()
    sched.step()
    lrs.append(opt.param_groups[0]['lr'])
last = sched.get_last_lr()
"""
for title, call in {
    "StepLR": "lr_scheduler.StepLR(opt, step_size=3, gamma=0.1)",
    "MultiStepLR": "torch.optim.lr_scheduler.MultiStepLR(opt, milestones=[2, 5], gamma=0.5)",
    "ExponentialLR": "lr_scheduler.ExponentialLR(opt, gamma=0.9)",
    "CosineAnnealingLR": "lr_scheduler.CosineAnnealingLR(opt, T_max=6, eta_min=0.001)",
    "LambdaLR": "lr_scheduler.LambdaLR(opt, lr_lambda=lambda epoch: 0.95 ** epoch)",
    "LambdaLR with a warm-up": "lr_scheduler.LambdaLR(opt, lambda e: min(1.0, (e + 1) / 4))",
    "LinearLR, ConstantLR": "lr_scheduler.LinearLR(opt, start_factor=0.5, total_iters=4)",
    "ConstantLR": "lr_scheduler.ConstantLR(opt, factor=0.5, total_iters=3)",
    "PolynomialLR": "lr_scheduler.PolynomialLR(opt, total_iters=5, power=2.0)",
    "MultiplicativeLR": "lr_scheduler.MultiplicativeLR(opt, lambda e: 0.9)",
    "OneCycleLR": "lr_scheduler.OneCycleLR(opt, max_lr=0.5, total_steps=10)",
    "OneCycleLR by epochs": "lr_scheduler.OneCycleLR(opt, 0.5, epochs=3, steps_per_epoch=4, anneal_strategy='linear')",
    "CyclicLR": "lr_scheduler.CyclicLR(opt, base_lr=0.01, max_lr=0.1, step_size_up=3)",
    "CosineAnnealingWarmRestarts": "lr_scheduler.CosineAnnealingWarmRestarts(opt, T_0=3, T_mult=2)",
    "SequentialLR": "lr_scheduler.SequentialLR(opt, [WARM, DECAY], milestones=[3])",
    "ChainedScheduler": "lr_scheduler.ChainedScheduler([WARM, DECAY])",
}.items():
    call = call.replace("WARM", "lr_scheduler.LinearLR(opt, 0.1, total_iters=3)")
    call = call.replace("DECAY", "lr_scheduler.ExponentialLR(opt, 0.9)")
    steps.same(title, f"{LOOP}sched = {call}\n{TURN}")
steps.same("two schedulers", """
    a = lr_scheduler.ExponentialLR(opt, 0.9); b = lr_scheduler.MultiStepLR(opt, [2, 4], gamma=0.1)
    for epoch in range(6):
        opt.step(); a.step(); b.step()
        lrs.append(opt.param_groups[0]['lr'])
""", before=LOOP)
steps.same("a manual lr beside a scheduler", """
    sched = lr_scheduler.StepLR(opt, 2, gamma=0.5)
    for epoch in range(6):
        opt.step(); sched.step()
        if epoch == 2:
            opt.param_groups[0]['lr'] = 0.01
        lrs.append(opt.param_groups[0]['lr'])
""", before=LOOP)
steps.same("a manual lr beside cosine annealing", """
    sched = lr_scheduler.CosineAnnealingLR(opt, 5)
    for epoch in range(6):
        opt.step(); sched.step()
        if epoch == 1:
            for g in opt.param_groups:
                g['lr'] *= 0.5
            del g
        lrs.append(opt.param_groups[0]['lr'])
""", before=LOOP)
steps.same("ReduceLROnPlateau", """
    sched = lr_scheduler.ReduceLROnPlateau(opt, mode='min', factor=0.5, patience=1)
    for loss in [1.0, 0.9, 0.9, 0.9, 0.9, 0.8, 0.95, 0.96, 0.97]:
        sched.step(loss)
        lrs.append(opt.param_groups[0]['lr'])
    b = sched.num_bad_epochs; last = sched.get_last_lr()
""", before=LOOP)
steps.same("ReduceLROnPlateau of a tensor", """
    sched = lr_scheduler.ReduceLROnPlateau(opt, 'max', patience=0)
    for acc in [0.5, 0.4, 0.3]:
        sched.step(torch.tensor(acc))
        lrs.append(opt.param_groups[0]['lr'])
""", before=LOOP)
steps.same("a scheduler's state", """
    a = lr_scheduler.StepLR(opt, 2); a.step(); a.step(); d = a.state_dict(); e = d['last_epoch']
    b = lr_scheduler.StepLR(opt, 2); b.load_state_dict(d); b.step(); f = b.last_epoch; lr = b.get_last_lr()
    s = d['step_size']; del d
""", before=LOOP)
steps.same("scheduler.step(epoch)", """
    sched = lr_scheduler.StepLR(opt, 2); opt.step(); sched.step(4); lr = opt.param_groups[0]['lr']
""", before=LOOP)
steps.same("last_epoch resumes", """
    w = torch.ones(1, requires_grad=True); opt = optim.SGD([{'params': [w], 'initial_lr': 0.1}], lr=0.1)
    sched = lr_scheduler.ExponentialLR(opt, 0.5, last_epoch=2); lr = opt.param_groups[0]['lr']
    i = opt.param_groups[0]['initial_lr']
""")
OWN = """
class Half(lr_scheduler.LRScheduler):
    def get_lr(self):
        return [b * 0.5 ** self.last_epoch for b in self.base_lrs]
"""
steps.same("an own scheduler", f"{OWN}{LOOP}sched = Half(opt)\n{TURN}")
steps.same("an own optimizer", """
    class Plain(torch.optim.Optimizer):
        def __init__(self, params, lr=0.1):
            super().__init__(params, dict(lr=lr))
        @torch.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group['params']:
                    if p.grad is None:
                        continue
                    state = self.state[p]
                    state['n'] = state.get('n', 0) + 1
                    p.add_(p.grad, alpha=-group['lr'])
    w = torch.ones(2, requires_grad=True)
    opt = Plain([w]); (w ** 2).sum().backward(); opt.step(); n = opt.state[w]['n']; opt.zero_grad()
""")
steps.same("an optimizer is printed", """
    print(optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1).param_groups[0]['lr'])
""")

loop = Subject("Loops of training")
HEAD = """
net = fixed(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
x, y = numbers(8, 3), torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])
opt = optim.SGD(net.parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()
"""
loop.same("the usual loop", """
    losses = []
    for epoch in range(3):
        running_loss = 0.0
        for i in range(0, 8, 4):
            opt.zero_grad()
            loss = criterion(net(x[i:i + 4]), y[i:i + 4])
            loss.backward()
            opt.step()
            running_loss += loss.item() * 4
        losses.append(running_loss / len(x))
        print(f'epoch {epoch + 1}, loss {loss.item():.3f}')
    w = net[0].weight
""", before=HEAD)
loop.same("evaluation", """
    net.eval(); correct = 0; total = 0
    with torch.no_grad():
        outputs = net(x)
        _, predicted = torch.max(outputs.data, 1)
        total += y.size(0)
        correct += (predicted == y).sum().item()
    print('Accuracy: %d %%' % (100 * correct / total)); acc = 100. * correct / total
""", before=HEAD)
loop.same("a loss summed as a tensor", """
    total = 0
    for i in range(2):
        total += criterion(net(x), y)
    total = total / 2; r = total.requires_grad; text = '{:.4f}'.format(total); f = f'{total:.3f}'
""", before=HEAD)
loop.same("losses added before backward", """
    loss = criterion(net(x), y) + 0.01 * sum(p.pow(2).sum() for p in net.parameters()); loss.backward()
    g = net[2].weight.grad
""", before=HEAD)
loop.same("L1 regularisation", """
    l1 = sum(p.abs().sum() for p in net.parameters()); loss = criterion(net(x), y) + 1e-3 * l1; loss.backward()
    g = net[0].weight.grad
""", before=HEAD)
loop.same("clipping by norm", """
    criterion(net(x), y).backward(); n = torch.nn.utils.clip_grad_norm_(net.parameters(), max_norm=0.1)
    g = net[0].weight.grad; opt.step(); w = net[0].weight
""", before=HEAD)
loop.same("clipping by value", """
    criterion(net(x), y).backward(); nn.utils.clip_grad_value_(net.parameters(), clip_value=0.05)
    g = net[0].weight.grad
""", before=HEAD)
loop.same("gradients accumulated", """
    for i in range(4):
        loss = criterion(net(x[2 * i:2 * i + 2]), y[2 * i:2 * i + 2]) / 2
        loss.backward()
        if (i + 1) % 2 == 0:
            opt.step()
            opt.zero_grad()
    w = net[0].weight
""", before=HEAD)
loop.same("GradScaler without a GPU", """
    scaler = torch.amp.GradScaler('cuda', enabled=False)
    opt.zero_grad()
    loss = criterion(net(x), y)
    scaler.scale(loss).backward()
    scaler.unscale_(opt)
    scaler.step(opt)
    scaler.update()
    w = net[0].weight; s = scaler.get_scale()
""", before=HEAD)
loop.same("torch.cuda.amp.GradScaler, disabled", """
    scaler = torch.cuda.amp.GradScaler(enabled=torch.cuda.is_available())
    with torch.cuda.amp.autocast(enabled=torch.cuda.is_available()):
        loss = criterion(net(x), y)
    scaler.scale(loss).backward(); scaler.step(opt); scaler.update(); w = net[0].weight; d = scaler.state_dict()
""", before=HEAD)
loop.same("autocast disabled", """
    with torch.autocast(device_type='cpu', dtype=torch.bfloat16, enabled=False):
        out = net(x)
    d = out.dtype
""", before=HEAD)
loop.same("autocast of another device", """
    with torch.amp.autocast('cuda', enabled=False):
        out = net(x)
""", before=HEAD)
loop.same("an exponential moving average", """
    ema = copy.deepcopy(net)
    for p in ema.parameters():
        p.requires_grad_(False)
    criterion(net(x), y).backward(); opt.step()
    with torch.no_grad():
        for e, p in zip(ema.parameters(), net.parameters()):
            e.mul_(0.9).add_(p, alpha=0.1)
    w = ema[0].weight
""", before=HEAD)
loop.same("an average by name", """
    shadow = {n: p.data.clone() for n, p in net.named_parameters() if p.requires_grad}
    criterion(net(x), y).backward(); opt.step()
    for n, p in net.named_parameters():
        shadow[n] = (0.9 * shadow[n] + 0.1 * p.data).clone()
    w = shadow['0.weight']
""", before=HEAD)
loop.same("layers frozen while training", """
    for p in net[0].parameters():
        p.requires_grad = False
    before = net[0].weight.clone()
    criterion(net(x), y).backward(); opt.step(); same = torch.equal(before, net[0].weight)
    g = net[0].weight.grad; h = net[2].weight.grad
""", before=HEAD)
loop.same("early stopping keeps the best weights", """
    best, best_state = float('inf'), None
    for epoch in range(3):
        opt.zero_grad(); loss = criterion(net(x), y); loss.backward(); opt.step()
        if loss.item() < best:
            best = loss.item(); best_state = copy.deepcopy(net.state_dict())
    net.load_state_dict(best_state); w = net[0].weight
""", before=HEAD)
loop.same("full-batch training of a regression", """
    lin = fixed(nn.Linear(1, 1)); opt = optim.Adam(lin.parameters(), lr=0.1)
    x = torch.unsqueeze(torch.linspace(-1, 1, 20), dim=1); y = x.pow(2) + 0.2
    for t in range(10):
        loss = F.mse_loss(lin(x), y)
        opt.zero_grad(); loss.backward(); opt.step()
    w = lin.weight; v = loss.data.numpy()
""")
loop.same("a dictionary of running means", """
    log = collections.defaultdict(list)
    for _ in range(2):
        loss = criterion(net(x), y); log['loss'].append(loss.item())
        log['acc'].append((net(x).argmax(1) == y).float().mean().item())
    m = {k: np.mean(v) for k, v in log.items()}; n = float(np.mean(log['loss']))
""", before=HEAD)
loop.same("gradients by name", """
    criterion(net(x), y).backward(); norms = {n: p.grad.norm().item() for n, p in net.named_parameters()}
    big = max(p.grad.abs().max() for p in net.parameters())
""", before=HEAD)
loop.same("a gradient that is None", """
    n = [p.grad is None for p in net.parameters()]
""", before=HEAD)
loop.same("a step skipped for a nan loss", """
    loss = criterion(net(x), y) * float('nan'); skip = torch.isnan(loss).item(); ok = bool(torch.isfinite(loss))
    n = math.isnan(loss)
""", before=HEAD)
loop.same("mixup", """
    lam = 0.3; index = torch.tensor([7, 6, 5, 4, 3, 2, 1, 0]); mixed = lam * x + (1 - lam) * x[index, :]
    out = net(mixed); loss = lam * criterion(out, y) + (1 - lam) * criterion(out, y[index]); loss.backward()
    g = net[0].weight.grad
""", before=HEAD)
loop.same("topk accuracy", """
    def accuracy(output, target, topk=(1,)):
        with torch.no_grad():
            maxk = max(topk); batch_size = target.size(0)
            _, pred = output.topk(maxk, 1, True, True)
            pred = pred.t()
            correct = pred.eq(target.view(1, -1).expand_as(pred))
            res = []
            for k in topk:
                correct_k = correct[:k].reshape(-1).float().sum(0, keepdim=True)
                res.append(correct_k.mul_(100.0 / batch_size))
            return res
    res = accuracy(numbers(6, 5), torch.tensor([0, 1, 2, 3, 4, 0]), topk=(1, 3))
""")
loop.same("a confusion matrix", """
    pred, target = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 2, 2])
    cm = torch.zeros(3, 3, dtype=torch.int64)
    for t, p in zip(target.view(-1), pred.view(-1)):
        cm[t.long(), p.long()] += 1
    per_class = cm.diag().float() / cm.sum(1)
    also = torch.bincount(target * 3 + pred, minlength=9).reshape(3, 3)
""")
loop.same("intersection over union", """
    a, b = torch.tensor([[1, 0], [1, 1]]).bool(), torch.tensor([[1, 1], [0, 1]]).bool()
    inter = (a & b).float().sum((0, 1)); union = (a | b).float().sum((0, 1))
    iou = (inter + 1e-6) / (union + 1e-6)
""")
loop.same("a dice loss", """
    p, t = torch.sigmoid(numbers(2, 1, 3, 3)), (numbers(2, 1, 3, 3) > 0).float(); i = (p * t).sum(dim=(1, 2, 3))
    d = 1 - (2 * i + 1) / (p.sum(dim=(1, 2, 3)) + t.sum(dim=(1, 2, 3)) + 1); loss = d.mean()
""")
loop.same("focal loss", """
    x, t = numbers(4, 3), torch.tensor([0, 2, 1, 1]); ce = F.cross_entropy(x, t, reduction='none')
    pt = torch.exp(-ce); loss = (0.25 * (1 - pt) ** 2 * ce).mean()
""")
loop.same("precision, recall", """
    p, t = torch.tensor([1, 0, 1, 1]), torch.tensor([1, 0, 0, 1]); tp = ((p == 1) & (t == 1)).sum().item()
    fp = ((p == 1) & (t == 0)).sum().item(); prec = tp / (tp + fp); f1 = 2 * prec / (prec + 1)
""")
loop.same("PSNR", """
    a, b = torch.rand(3, 4), torch.zeros(3, 4); mse = F.mse_loss(a * 0 + 0.1, b)
    psnr = 10 * torch.log10(1 / mse); t = psnr.item()
""", draws="a")
loop.same("tensorboard-like scalars", """
    writer = []; loss = torch.tensor(0.25); writer.append(('loss', loss.item(), 3))
    text = '{:.2f}'.format(loss.item()); s = '%.3f' % loss; r = round(loss.item(), 1)
""")
loop.same("torch.no_grad as an eval helper", """
    @torch.no_grad()
    def evaluate(model):
        model.eval()
        return criterion(model(x), y).item()
    v = evaluate(net); t = net.training
""", before=HEAD)
loop.same("model.train() returns and modes nest", """
    a = net.train() is net; b = net.eval() is net; c = any(m.training for m in net.modules())
""", before=HEAD)
loop.same("manual_seed returns a generator", """
    g = torch.manual_seed(1); t = isinstance(g, torch.Generator); s = torch.initial_seed()
""")
loop.same("rng state", """
    s = torch.get_rng_state(); a = torch.rand(2); torch.set_rng_state(s); b = torch.rand(2)
    same = torch.equal(a, b); del s
""", draws="a b")
