"""Idioms: autograd, and `.data`."""

from tests.idioms.idiom import Subject

grads = Subject("Autograd")
grads.same("backward", """
    x = torch.tensor([1.0, 2.0], requires_grad=True); y = (x ** 2).sum(); y.backward(); g = x.grad
""")
grads.same("backward accumulates", """
    x = torch.ones(2, requires_grad=True); (x * 2).sum().backward(); (x * 3).sum().backward(); g = x.grad
""")
grads.same("backward with an upstream gradient", """
    x = torch.ones(3, requires_grad=True); y = x * 2; y.backward(torch.tensor([1.0, 0.1, 0.01])); z = x * 1
    z.backward(gradient=torch.ones_like(z))
""")
grads.same("backward of several elements needs one", """
    x = torch.ones(3, requires_grad=True); (x * 2).backward()
""", raises="RuntimeError")
grads.same("backward twice", """
    x = torch.ones(2, requires_grad=True); y = x.exp().sum(); y.backward(); y.backward()
""", raises="RuntimeError")
grads.same("retain_graph", """
    x = torch.ones(2, requires_grad=True); y = x.exp().sum(); y.backward(retain_graph=True); y.backward()
    g = x.grad
""")
grads.same("backward without a graph", "torch.ones(1).sum().backward()", raises="RuntimeError")
grads.same("grad", """
    x = torch.tensor(2.0, requires_grad=True); y = x ** 3; g, = torch.autograd.grad(y, x); h = x.grad is None
""")
grads.same("grad of grad", """
    x = torch.tensor(2.0, requires_grad=True); y = x ** 3; g = torch.autograd.grad(y, x, create_graph=True)[0]
    h = torch.autograd.grad(g, x)[0]
""")
grads.same("grad with grad_outputs", """
    x = torch.ones(2, requires_grad=True); y = x * torch.tensor([2.0, 3.0])
    g = torch.autograd.grad(
        outputs=y,
        inputs=x,
        grad_outputs=torch.ones(y.size()),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
""")
grads.same("grad of what is unused", """
    x, z = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    g = torch.autograd.grad((x * 2).sum(), [x, z], allow_unused=True)
""")
grads.same("grad of what is unused is refused", """
    x, z = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    torch.autograd.grad((x * 2).sum(), [z])
""", raises="RuntimeError")
grads.same("grad with materialize_grads", """
    x, z = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    g = torch.autograd.grad((x * 2).sum(), [x, z], allow_unused=True, materialize_grads=True)
""")
grads.same("is_grads_batched aside: a Jacobian row by row", """
    x = numbers(3).requires_grad_(); y = x ** 2
    rows = [torch.autograd.grad(y[i], x, retain_graph=True)[0] for i in range(3)]; J = torch.stack(rows)
""")
grads.same("torch.autograd.backward", """
    x = torch.ones(2, requires_grad=True); a, b = x * 2, x * 3; torch.autograd.backward([a.sum(), b.sum()])
    g = x.grad
""")
grads.same("backward with inputs", """
    x, w = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    (x * w).sum().backward(inputs=[w]); a = x.grad; b = w.grad
""")
grads.same("no_grad", """
    x = torch.ones(2, requires_grad=True)
    with torch.no_grad():
        y = x * 2
    a = y.requires_grad; b = (x * 2).requires_grad
""")
grads.same("no_grad as a decorator", """
    @torch.no_grad()
    def f(x):
        return x * 2
    y = f(torch.ones(1, requires_grad=True))
""")
grads.same("no_grad as a decorator without a call", """
    @torch.no_grad
    def f(x):
        return x * 2
    y = f(torch.ones(1, requires_grad=True))
""")
grads.same("enable_grad inside no_grad", """
    x = torch.ones(1, requires_grad=True)
    with torch.no_grad():
        with torch.enable_grad():
            y = x * 2
        z = x * 2
""")
grads.same("set_grad_enabled", """
    x = torch.ones(1, requires_grad=True)
    with torch.set_grad_enabled(False):
        y = x * 2
    torch.set_grad_enabled(False); z = x * 2; torch.set_grad_enabled(True); e = torch.is_grad_enabled()
""")
grads.same("inference_mode", """
    x = torch.ones(1, requires_grad=True)
    with torch.inference_mode():
        y = x * 2
    @torch.inference_mode()
    def f(x):
        return x + 1
    z = f(x).requires_grad; i = torch.is_inference_mode_enabled()
""")
grads.same("detach", """
    x = torch.ones(2, requires_grad=True); y = (x * 2).detach(); z = (x * y).sum(); z.backward(); g = x.grad
""")
grads.same("detach shares memory", "x = torch.zeros(2, requires_grad=True); x.detach()[0] = 3; v = x.tolist()")
grads.same("detach().cpu().numpy()", """
    x = torch.ones(2, requires_grad=True); a = (x * 2).detach().cpu().numpy(); b = x.data.numpy()
    c = x.detach().numpy().copy()
""")
grads.same("numpy of what requires a gradient", "torch.ones(2, requires_grad=True).numpy()", raises="RuntimeError")
grads.same("requires_grad, is_leaf, grad_fn", """
    x = torch.ones(1, requires_grad=True); y = x * 2
    a, b, c, d = x.is_leaf, y.is_leaf, y.requires_grad, x.grad_fn is None; e = y.grad_fn is not None
""")
grads.same("next_functions", """
    x = torch.ones(1, requires_grad=True); y = (x * 2).exp(); n = len(y.grad_fn.next_functions)
    inner = y.grad_fn.next_functions[0][0]; leaf = inner.next_functions[0][0].variable is x
""")
grads.same("retain_grad", """
    x = torch.ones(2, requires_grad=True); y = x * 2; y.retain_grad(); (y ** 2).sum().backward(); g = y.grad
    r = y.retains_grad
""")
grads.same("a hook on a tensor", """
    x = torch.ones(2, requires_grad=True); seen = []; h = x.register_hook(lambda g: seen.append(g.clone()))
    (x * 3).sum().backward(); h.remove()
""")
grads.same("a hook that changes the gradient", """
    x = torch.ones(2, requires_grad=True); y = x * 2; y.register_hook(lambda g: g * 10); y.sum().backward()
    g = x.grad
""")
grads.same("a hook after accumulation", """
    x = torch.ones(2, requires_grad=True); seen = []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone())); (x * 3).sum().backward()
""")
grads.same("the gradient set to None", """
    x = torch.ones(2, requires_grad=True); x.sum().backward(); x.grad = None; (x * 5).sum().backward()
    g = x.grad
""")
grads.same("x.grad.zero_() and x.grad.data.zero_()", """
    x = torch.ones(2, requires_grad=True); x.sum().backward(); x.grad.zero_(); a = x.grad.clone()
    x.sum().backward(); x.grad.data.zero_()
""")
grads.same("Variable", """
    x = Variable(torch.ones(2), requires_grad=True); y = (x * 2).sum(); y.backward(); g = x.grad.data
    t = isinstance(x, torch.Tensor)
""")
grads.same("Variable with volatile left out", """
    v = Variable(torch.FloatTensor([1, 2])); r = v.requires_grad; w = torch.autograd.Variable(torch.zeros(1))
""")
grads.same("an own Function with ctx", """
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x
        @staticmethod
        def backward(ctx, grad_output):
            x, = ctx.saved_tensors
            return 2 * x * grad_output
    x = torch.tensor([1.0, 3.0], requires_grad=True)
    y = Square.apply(x)
    y.sum().backward()
    g = x.grad
""")
grads.same("an own Function with a constant", """
    class Scale(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, factor):
            ctx.factor = factor
            return x * factor
        @staticmethod
        def backward(ctx, grad_output):
            return grad_output * ctx.factor, None
    x = torch.ones(2, requires_grad=True)
    Scale.apply(x, 3.0).sum().backward()
    g = x.grad
""")
grads.same("a straight-through estimator", """
    class Binarize(torch.autograd.Function):
        @staticmethod
        def forward(ctx, input):
            ctx.save_for_backward(input)
            return input.sign()
        @staticmethod
        def backward(ctx, grad_output):
            input, = ctx.saved_tensors
            grad_input = grad_output.clone()
            grad_input[input.abs() > 1] = 0
            return grad_input
    x = torch.tensor([0.5, -2.0, 0.1], requires_grad=True)
    y = Binarize.apply(x)
    y.sum().backward()
    g = x.grad
""")
grads.same("a straight-through estimator by detach", """
    x = torch.tensor([0.4, 1.6], requires_grad=True); y = x + (x.round() - x).detach(); (y * 2).sum().backward()
    g = x.grad
""")
grads.same("a Function of two outputs", """
    class Both(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 2, x * 3
        @staticmethod
        def backward(ctx, a, b):
            return a * 2 + b * 3
    x = torch.ones(2, requires_grad=True)
    a, b = Both.apply(x)
    (a + b).sum().backward()
    g = x.grad
""")
grads.same("needs_input_grad, mark_non_differentiable", """
    class Pick(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, w):
            ctx.save_for_backward(x, w)
            order = x.argsort()
            ctx.mark_non_differentiable(order)
            return x * w, order
        @staticmethod
        def backward(ctx, g, _):
            x, w = ctx.saved_tensors
            return g * w if ctx.needs_input_grad[0] else None, g * x if ctx.needs_input_grad[1] else None
    x, w = torch.tensor([2.0, 1.0]), torch.ones(2, requires_grad=True)
    y, order = Pick.apply(x, w)
    y.sum().backward()
    g = w.grad; n = x.grad
""")
grads.same("a gradient reversal layer", """
    class Reverse(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, alpha):
            ctx.alpha = alpha
            return x.view_as(x)
        @staticmethod
        def backward(ctx, grad_output):
            return grad_output.neg() * ctx.alpha, None
    x = torch.ones(3, requires_grad=True)
    Reverse.apply(x, 0.5).sum().backward()
    g = x.grad
""")
grads.same("gradcheck", """
    ok = torch.autograd.gradcheck(lambda x: (x ** 2).sum(), torch.ones(3, dtype=torch.float64, requires_grad=True))
    ok2 = torch.autograd.gradcheck(
        torch.sigmoid, (torch.ones(2, dtype=torch.double, requires_grad=True),), eps=1e-6, atol=1e-4
    )
""")
grads.same("gradgradcheck", """
    ok = torch.autograd.gradgradcheck(lambda x: x ** 3, torch.ones(2, dtype=torch.float64, requires_grad=True))
""")
grads.same("functional.jacobian", """
    J = torch.autograd.functional.jacobian(lambda x: x ** 2, torch.tensor([1.0, 2.0]))
    J2 = torch.autograd.functional.jacobian(lambda a, b: a * b, (torch.ones(2), torch.ones(2) * 3))
""")
grads.same("functional.hessian", """
    H = torch.autograd.functional.hessian(lambda x: (x ** 3).sum(), torch.tensor([1.0, 2.0]))
""")
grads.same("functional.vjp, jvp", """
    x = torch.tensor([1.0, 2.0]); a, b = torch.autograd.functional.vjp(lambda x: x ** 2, x, torch.ones(2))
    c, d = torch.autograd.functional.jvp(lambda x: x ** 2, x, torch.ones(2))
""")
grads.same("functional.hvp, vhp", """
    x = torch.tensor([1.0, 2.0]); v = torch.ones(2)
    a = torch.autograd.functional.hvp(lambda x: (x ** 3).sum(), x, v)[1]
    b = torch.autograd.functional.vhp(lambda x: (x ** 3).sum(), x, v)[1]
""")
grads.same("a Hessian-vector product by hand", """
    x = numbers(3).requires_grad_(); v = torch.ones(3)
    g = torch.autograd.grad((x ** 4).sum(), x, create_graph=True)[0]
    hv = torch.autograd.grad((g * v).sum(), x)[0]
""")
grads.same("checkpoint", """
    net = fixed(nn.Sequential(nn.Linear(3, 4), nn.Tanh()))
    x = numbers(2, 3).requires_grad_()
    y = checkpoint(net, x, use_reentrant=False)
    y.sum().backward()
    g = x.grad; w = net[0].weight.grad
""")
grads.same("torch.utils.checkpoint.checkpoint", """
    x = numbers(3).requires_grad_(); y = torch.utils.checkpoint.checkpoint(torch.exp, x, use_reentrant=False)
    y.sum().backward(); g = x.grad
""")
grads.same("detect_anomaly", """
    with torch.autograd.detect_anomaly():
        x = torch.ones(2, requires_grad=True)
        (x * 2).sum().backward()
    with torch.autograd.set_detect_anomaly(False):
        y = 1
""")
grads.same("detect_anomaly finds a nan", """
    x = torch.zeros(1, requires_grad=True)
    with torch.autograd.detect_anomaly():
        (x.sqrt() * 0).sum().backward()
""", raises="RuntimeError")
grads.same("a gradient penalty", """
    net = fixed(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)))
    x = numbers(3, 4).requires_grad_()
    out = net(x)
    g = torch.autograd.grad(out, x, grad_outputs=torch.ones_like(out), create_graph=True, retain_graph=True)[0]
    penalty = ((g.norm(2, dim=1) - 1) ** 2).mean()
    penalty.backward()
    w = net[0].weight.grad
""")
grads.same("gradient descent by hand", """
    w = torch.tensor([5.0], requires_grad=True)
    for _ in range(10):
        loss = (w - 2) ** 2
        loss.backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
        w.grad.zero_()
""")
grads.same("linear regression by hand", """
    x = torch.linspace(0, 1, 10); y = 3 * x + 1
    a = torch.zeros((), requires_grad=True); b = torch.zeros((), requires_grad=True)
    for t in range(20):
        loss = (a * x + b - y).pow(2).sum()
        loss.backward()
        a.data -= 0.05 * a.grad.data; b.data -= 0.05 * b.grad.data
        a.grad = None; b.grad = None
    text = f'{loss.item():.4f}'
""")
grads.same("a MyReLU without gradients through the index", """
    x = numbers(3, 4).requires_grad_(); i = x.argmax(1); y = x[torch.arange(3), i].sum(); y.backward()
    g = x.grad
""")
grads.same("gradients through max, sort, topk", """
    x = numbers(3, 4).requires_grad_()
    (x.max(1)[0].sum() + x.sort(1)[0][:, 0].sum() + x.topk(2)[0].sum()).backward(); g = x.grad
""")
grads.same("gradients through cat, stack, split", """
    x = numbers(4).requires_grad_(); a, b = x.split(2); y = torch.cat([a * 2, torch.stack([b[0], b[1] * 3])])
    y.sum().backward(); g = x.grad
""")
grads.same("gradients through an index that repeats", """
    x = numbers(3).requires_grad_(); x[torch.tensor([0, 0, 2])].sum().backward(); g = x.grad
""")
grads.same("gradients through where, clamp, abs", """
    x = torch.tensor([-2.0, 0.5, 3.0], requires_grad=True)
    (torch.where(x > 0, x * 2, x * 5) + x.clamp(-1, 1) + x.abs()).sum().backward(); g = x.grad
""")
grads.same("gradients through std, var, norm, prod", """
    x = (numbers(4) + 3).requires_grad_(); (x.std() + x.var() + x.norm() + x.prod()).backward(); g = x.grad
""")
grads.same("a leaf made on another dtype", """
    x = torch.ones(2, requires_grad=True); (x.double() * 2).sum().backward(); g = x.grad
""")
grads.same("requires_grad of a result cannot be unset", """
    x = torch.ones(1, requires_grad=True); y = x * 2; y.requires_grad = False
""", raises="RuntimeError")
grads.same("deepcopy of a leaf", """
    x = torch.ones(2, requires_grad=True); y = copy.deepcopy(x); r = y.requires_grad; same = y is x
""")
grads.same("the graph of a float16 or float64 net", """
    net = fixed(nn.Linear(3, 2)).double(); x = numbers(2, 3).double(); y = net(x); y.sum().backward()
    g = net.weight.grad
""")

data = Subject(".data")
data.same("w.data -= lr * w.grad", """
    w = torch.ones(2, requires_grad=True); (w * w).sum().backward(); w.data -= 0.1 * w.grad; r = w.requires_grad
""")
data.same("w.data.sub_, add_, copy_, fill_", """
    w = torch.ones(3, requires_grad=True); w.data.sub_(0.5); w.data.add_(torch.ones(3), alpha=2); a = w.tolist()
    w.data.copy_(torch.zeros(3)); w.data.fill_(7)
""")
data.same(".data is a Tensor", """
    w = torch.ones(2, 3, requires_grad=True); t = isinstance(w.data, torch.Tensor); r = w.data.requires_grad
    s = w.data.shape; k = w.data.dtype
""")
data.same(".data shares memory", "w = torch.zeros(3, requires_grad=True); w.data[0] = 5; v = w.tolist()")
data.same("methods of .data", """
    x = numbers(3, 4); a = x.data.transpose(0, 1); b = x.data.std(); c = x.data.repeat(2, 1)
    d = x.data.sort()[0]; e, f = x.data.max(1); g = x.data.max(1, keepdim=True)[1]; h = x.data.view(-1)
""")
data.same("loss.data as a number", """
    loss = (numbers(3).requires_grad_() ** 2).mean(); a = loss.data.item(); b = float(loss.data)
    c = loss.data.cpu().numpy()
""")
data.same(".data is assigned a tensor", """
    w = torch.zeros(2, requires_grad=True); w.data = torch.tensor([1.0, 2.0]); r = w.requires_grad
""")
data.same(".data is assigned another shape", "w = torch.zeros(2); w.data = torch.ones(3, 2); s = w.shape")
data.same(".data of a layer's weight", """
    net = nn.Linear(2, 1); net.weight.data = torch.tensor([[1.0, 2.0]]); net.bias.data.fill_(0.5)
    y = net(torch.ones(1, 2)); net.weight.data.normal_(0, 0.02); s = net.weight.shape
""", draws="net")
data.same("weights initialised through .data", """
    net = nn.Linear(4, 2); net.weight.data.uniform_(-0.1, 0.1); net.bias.data.zero_()
    ok = bool((net.weight.abs() <= 0.1).all()); b = net.bias
""")
data.same("weights clipped through .data", """
    net = fixed(nn.Linear(3, 2))
    for p in net.parameters():
        p.data.clamp_(-0.1, 0.1)
    w = net.weight
""")
data.same("grad.data", """
    w = torch.ones(2, requires_grad=True); (w * 3).sum().backward(); g = w.grad.data.clone()
    w.grad.data.mul_(2); h = w.grad
""")
data.same("soft update of a target net", """
    net, target = fixed(nn.Linear(2, 2)), nn.Linear(2, 2)
    target.load_state_dict(net.state_dict())
    net.weight.data.add_(1)
    for t, p in zip(target.parameters(), net.parameters()):
        t.data.copy_(0.9 * t.data + 0.1 * p.data)
    w = target.weight
""")
data.same("swapping weights through state_dict", """
    net = fixed(nn.Linear(2, 1))
    state = net.state_dict()
    state['weight'].zero_()
    w = net.weight
""")
