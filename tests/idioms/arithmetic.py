"""Idioms: arithmetic, reductions, comparison; in-place operators."""

from tests.idioms.idiom import Subject

sums = Subject("Arithmetic, reductions, comparison")
sums.same("operators", """
    a, b = numbers(2, 3), numbers(3); c, d, e, f = a + b, a - b, a * b, a / b; g = -a; h = 2 ** b; k = a ** 2
    r = 1 - a; s = 1 / (b + 5)
""")
sums.same("the same as functions", """
    a, b = numbers(3), numbers(3)
    c, d, e, f = torch.add(a, b), torch.sub(a, b), torch.mul(a, b), torch.div(a, b)
    g = torch.add(a, b, alpha=2); h = torch.pow(a, 2); k = torch.neg(a)
""")
sums.same("long names", """
    a, b = numbers(3), numbers(3)
    c, d, e, f = torch.subtract(a, b), torch.multiply(a, b), torch.divide(a, b), torch.true_divide(a, b)
    g = torch.square(a); h = torch.absolute(a); k = torch.negative(b)
""")
sums.same("whole division and remainder", """
    x = torch.tensor([7, -7]); a = x // 2; b = x % 3; c = torch.div(x, 2, rounding_mode='floor')
    d = torch.div(x, 2, rounding_mode='trunc'); e = torch.fmod(x, 3); f = torch.remainder(x, 3)
    g = torch.floor_divide(x, 2)
""")
sums.same("matrix products", """
    a, b = numbers(2, 3), numbers(3, 4); c = a @ b; d = torch.mm(a, b); e = a.matmul(b)
    f = torch.matmul(a, b[:, 0]); g = a.mm(b)
""")
sums.same("bmm, mv, dot, outer", """
    a, b = numbers(2, 3, 4), numbers(2, 4, 5); c = torch.bmm(a, b); d = torch.mv(a[0], b[0, :, 0])
    e = torch.dot(a[0, 0], b[0, :, 0]); f = torch.outer(a[0, 0], b[0, 0]); g = a.bmm(b)
""")
sums.same("addmm, baddbmm, addcmul", """
    a, b, c = numbers(2, 4), numbers(2, 3), numbers(3, 4); d = torch.addmm(a, b, c)
    e = torch.addcmul(a, a, a, value=0.5); f = torch.addcdiv(a, a, a + 5)
    g = torch.baddbmm(a[None], b[None], c[None])
""")
sums.same("einsum", """
    a, b = numbers(2, 3), numbers(3, 4); c = torch.einsum('ij,jk->ik', a, b); d = torch.einsum('ij->i', a)
    e = torch.einsum('bi,bj->bij', a, a); f = torch.einsum('ii', numbers(3, 3))
""")
sums.same("a Gram matrix", """
    x = numbers(2, 3, 4, 4); n, c, h, w = x.size(); f = x.view(n * c, h * w)
    g = torch.mm(f, f.t()).div(n * c * h * w)
""")
sums.same("exp, log, sqrt, ...", """
    x = numbers(4).abs() + 0.1
    a, b, c, d, e, f = x.exp(), x.log(), x.sqrt(), torch.rsqrt(x), torch.log2(x), torch.log10(x)
    g = x.reciprocal(); h = torch.log1p(x); k = torch.expm1(x); l = torch.exp2(x)
""")
sums.same("sin, cos, tan and back", """
    x = numbers(4) * 0.3
    a, b, c, d, e, f = torch.sin(x), torch.cos(x), torch.tan(x), torch.asin(x), torch.acos(x), torch.atan(x)
    g = torch.atan2(x, x + 2); h = torch.sinh(x); k = torch.cosh(x)
""")
sums.same("erf, sigmoid, tanh, logit", """
    x = numbers(4); a, b, c = torch.erf(x), torch.sigmoid(x), torch.tanh(x); d = torch.logit(b)
""")
sums.same("floor, ceil, round, trunc, frac, sign", """
    x = torch.tensor([1.5, -1.5, 2.5, -0.2])
    a, b, c, d, e, f = x.floor(), x.ceil(), x.round(), x.trunc(), x.frac(), x.sign()
    g = torch.round(x * 1.234, decimals=1); h = torch.sgn(x)
""")
sums.same("clamp and clip", """
    x = numbers(5); a = x.clamp(-0.5, 0.5); b = torch.clamp(x, min=0); c = x.clip(0, 1)
    d = torch.clamp(x, max=0.1); e = x.clamp_min(0.2); f = x.clamp(max=torch.zeros(5))
""")
sums.same("lerp, hypot", """
    a, b = numbers(3), numbers(3); c = torch.lerp(a, b, 0.3); d = torch.hypot(a, b); f = a.lerp(b, 0.5)
""")
sums.same("where", """
    x = numbers(4); a = torch.where(x > 0, x, torch.zeros_like(x)); b = torch.where(x > 0, 1.0, 0.0)
    c = torch.where(x > 0, x, 0.0); d = x.where(x > 0, x * 0)
""")
sums.same("sum and mean", """
    x = numbers(2, 3, 4); a, b, c, d = x.sum(), x.sum(1), x.mean(dim=(0, 2)), x.mean(-1, keepdim=True)
    e = torch.sum(x, dim=0); f = torch.mean(x); g = x.sum(dim=[1, 2])
""")
sums.same("axis= and keepdims=", """
    x = numbers(2, 3); a = x.sum(axis=1); b = x.mean(axis=0); c = torch.max(x, axis=1)[0]
    d = x.sum(axis=1, keepdims=True); e = x.argmax(axis=1); f = torch.cat([x, x], axis=1)
""")
sums.same("sum of integers and booleans", """
    a = torch.tensor([1, 2], dtype=torch.int32).sum(); b = (torch.arange(4) > 1).sum()
    c = torch.tensor([True, True]).float().mean()
""")
sums.same("sum with a dtype", """
    x = torch.tensor([1, 2, 3]); a = x.sum(dtype=torch.float32); b = x.float().mean(dtype=torch.float64)
""")
sums.same("mean of integers is refused", "torch.tensor([1, 2]).mean()", raises="RuntimeError")
sums.same("max and min", """
    x = torch.tensor([[1.0, 5.0, 2.0], [7.0, 0.0, 3.0]]); a = x.max(); values, indices = x.max(1)
    b = torch.min(x, dim=0).values; c = x.max(1)[1]; d = torch.max(x, 1).indices
    e = torch.max(x, torch.zeros_like(x) + 2)
""")
sums.same("_, predicted = torch.max(outputs, 1)", """
    outputs = numbers(4, 3); _, predicted = torch.max(outputs, 1); also = torch.max(outputs.data, 1)[1]
""")
sums.same("argmax, argmin", """
    x = numbers(3, 4); a, b, c = x.argmax(), x.argmax(1), torch.argmin(x, dim=0)
    d = x.argmax(dim=1, keepdim=True)
""")
sums.same("amax, amin, aminmax", "x = numbers(3, 4); a = x.amax(dim=1); b = x.amin((0, 1)); c, d = torch.aminmax(x)")
sums.same("prod, cumsum, cumprod, cummax", """
    x = numbers(2, 3); a, b, c = x.prod(), x.prod(1), x.cumsum(0); d = torch.cumprod(x, dim=1)
    e = torch.cummax(x, dim=1)[0]; f = torch.cumsum(x, 1)
""")
sums.same("std and var", """
    x = numbers(5, 3); a, b, c = x.std(), x.var(0), x.std(dim=1, unbiased=False); d = x.var(dim=0, correction=0)
    e, f = torch.std_mean(x, dim=0); g, h = torch.var_mean(x); k = x.std(0, keepdim=True)
""")
sums.same("norm", """
    x = numbers(3, 4); a, b, c = x.norm(), x.norm(p=1), x.norm(2, dim=1); d = torch.norm(x)
    e = torch.linalg.norm(x); f = torch.linalg.vector_norm(x, dim=1); g = x.norm(dim=1, keepdim=True)
    h = torch.norm(x, p='fro')
""")
sums.same("median, mode, quantile", """
    x = torch.tensor([3.0, 1.0, 2.0, 4.0]); a = x.median(); b, c = x.view(2, 2).median(1)
    d = torch.quantile(x, 0.5); e = torch.mode(torch.tensor([1, 2, 2]))[0]
""")
sums.same("any and all", """
    x = torch.tensor([[True, False], [True, True]])
    a, b, c, d = x.any(), x.all(), x.all(1), torch.any(x, dim=0)
""")
sums.same("logsumexp, softmax, log_softmax", """
    x = numbers(2, 3); a, b, c = x.logsumexp(1), torch.softmax(x, dim=1), torch.log_softmax(x, 1)
    d = x.softmax(-1); e = torch.logaddexp(x, x)
""")
sums.same("sort, argsort, topk, kthvalue", """
    x = torch.tensor([3.0, 1.0, 2.0]); values, order = x.sort(); a = x.argsort(descending=True)
    b, c = torch.topk(x, 2); d, e = x.topk(2, largest=False); f = torch.sort(x, descending=True)[0]
    g = torch.kthvalue(x, 2)[0]
""")
sums.same("unique, bincount, histc", """
    x = torch.tensor([3, 1, 3, 2]); a = x.unique(); b, c = torch.unique(x, return_counts=True)
    d = torch.bincount(x); e = torch.histc(x.float(), bins=3, min=1, max=3)
    f, g = torch.unique(x, return_inverse=True)
""")
sums.same("searchsorted, bucketize", """
    b = torch.tensor([1.0, 2.0, 3.0]); a = torch.searchsorted(b, torch.tensor([0.5, 2.5]))
    c = torch.bucketize(torch.tensor([1.5, 3.5]), b)
""")
sums.same("diff, trace", "x = numbers(3, 3); a = torch.diff(x, dim=1); b = torch.trace(x); c = x.diff()")
sums.same("cdist, pairwise distances", """
    x, y = numbers(3, 2), numbers(4, 2); a = torch.cdist(x, y); b = ((x[:, None] - y[None]) ** 2).sum(-1).sqrt()
    c = torch.dist(x, x * 2); d = F.pairwise_distance(x, x + 1)
""")
sums.same("cosine_similarity", """
    x, y = numbers(3, 4), numbers(3, 4); a = F.cosine_similarity(x, y); b = F.cosine_similarity(x, y, dim=0)
    c = nn.CosineSimilarity(dim=1)(x, y)
""")
sums.same("comparisons", """
    a, b = torch.tensor([1, 2, 3]), torch.tensor([3, 2, 1]); c, d, e, f = a == b, a < b, a >= 2, a != b
    g = torch.eq(a, b); h = a.gt(1); k = torch.lt(a, b); l = a.ne(2); m = torch.ge(a, 2)
""")
sums.same("equal, allclose, isclose", """
    a = numbers(3); b = torch.equal(a, a.clone()); c = torch.allclose(a, a + 1e-9); d = torch.isclose(a, a + 1)
    e = a.equal(a + 1); f = a.allclose(a, atol=1e-4)
""")
sums.same("isnan, isinf, isfinite, nan_to_num", """
    x = torch.tensor([1.0, float('nan'), float('inf')]); a, b, c = x.isnan(), torch.isinf(x), torch.isfinite(x)
    d = torch.nan_to_num(x, posinf=9.0); e = torch.nansum(x[:2]); f = torch.isnan(x).any().item()
""")
sums.same("logical operators", """
    a, b = torch.tensor([True, False]), torch.tensor([True, True]); c, d, e, f = a & b, a | b, ~a, a ^ b
    g = torch.logical_and(a, b); h = torch.logical_not(a); k = a.logical_or(b)
""")
sums.same("maximum, minimum", """
    a, b = numbers(3), numbers(3); c = torch.maximum(a, b); d = torch.minimum(a, b); e = torch.max(a, b)
""")
sums.same("infinity and nan as numbers", """
    a = torch.tensor(float('inf')); b = torch.inf; c = torch.pi; d = math.isnan(torch.nan)
    e = torch.full((2,), -torch.inf)
""")
sums.same("the truth of several elements", "bool(torch.tensor([1, 2]))", raises="RuntimeError")
sums.same("item of several elements", "torch.ones(2).item()", raises="RuntimeError")
sums.same("a tensor in an if", """
    x = torch.tensor(3.0)
    big = 'yes' if x > 2 else 'no'
    ok = bool(x) and not torch.tensor(False)
""")
sums.same("shapes that do not broadcast", "torch.ones(2) + torch.ones(3)", raises="RuntimeError")
sums.same("a product of wrong shapes", "torch.ones(2, 3) @ torch.ones(2, 3)", raises="RuntimeError")
sums.same("accuracy", """
    outputs, labels = numbers(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    correct = (outputs.argmax(1) == labels).sum().item()
    acc = (outputs.argmax(dim=1) == labels).float().mean().item()
""")
sums.same("pred.eq(target.view_as(pred)).sum().item()", """
    output, target = numbers(5, 3), torch.tensor([0, 1, 2, 0, 1]); pred = output.max(1, keepdim=True)[1]
    correct = pred.eq(target.view_as(pred)).sum().item(); also = pred.eq(target.view_as(pred)).cpu().sum()
""")
sums.same("vander, kron, tensordot", """
    x = torch.tensor([1.0, 2.0]); a = torch.kron(x, x)
    b = torch.tensordot(numbers(2, 3), numbers(3, 2), dims=1)
""")

inplace = Subject("In-place operators")
inplace.same("add_, sub_, mul_, div_", "x = torch.arange(1.0, 4.0); x.add_(1).mul_(2).sub_(torch.ones(3)).div_(2)")
inplace.same("add_ with alpha", "x = torch.zeros(2); x.add_(torch.ones(2), alpha=-0.1)")
inplace.same("+= on a tensor changes all names of it", "x = torch.ones(2); y = x; y += 1; same = y is x")
inplace.same("+= on a row", "x = torch.zeros(2, 3); row = x[0]; row += 1; x[1] -= 2")
inplace.same("-=, *=, /=, **=, //=, %=", """
    x = torch.tensor([5.0, 7.0]); x -= 1; x *= 2; x /= 4; x **= 2; y = torch.tensor([5, 7]); y //= 2; y %= 2
""")
inplace.same("zero_, fill_, copy_", """
    a = torch.ones(2).zero_(); b = torch.ones(2).fill_(3); c = torch.zeros(2, 2)
    c.copy_(torch.tensor([1.0, 2.0])); c[0].zero_()
""")
inplace.same("clamp_, relu_, exp_, sqrt_, neg_, abs_", """
    x = numbers(4); a = x.clone().clamp_(-0.5, 0.5); b = x.clone().relu_(); c = x.clone().exp_()
    d = x.abs().sqrt_(); e = x.clone().neg_(); f = x.clone().abs_(); g = x.clone().clamp_(min=0)
""")
inplace.same("sigmoid_, tanh_, pow_, reciprocal_", """
    x = numbers(4); a = x.clone().sigmoid_(); b = x.clone().tanh_(); c = x.clone().pow_(2)
    d = x.clone().reciprocal_(); e = x.clone().round_(); f = x.clone().floor_()
""")
inplace.same("addcmul_, addcdiv_, lerp_", """
    x = torch.ones(3); m = numbers(3); x.addcmul_(m, m, value=0.5); x.addcdiv_(m, m.abs() + 1, value=-0.1)
    x.lerp_(torch.zeros(3), 0.1)
""")
inplace.same("unsqueeze_, squeeze_, transpose_, t_", """
    x = torch.arange(6).view(2, 3); x.unsqueeze_(0); a = x.shape; x.squeeze_(0); x.t_(); b = x.shape
""")
inplace.same("masked_fill_ through a view", """
    x = torch.zeros(2, 2); x.view(-1).masked_fill_(torch.tensor([True, False, False, True]), 3.0)
""")
inplace.same("a mask in place", "x = numbers(2, 3); x[x < 0] *= -1")
inplace.same("fill_diagonal_, tril_", "x = torch.zeros(3, 3).fill_diagonal_(1); y = torch.ones(3, 3).tril_()")
inplace.same("in place keeps the dtype", "x = torch.tensor([1, 2]); x.add_(1.5)", raises="RuntimeError")
inplace.same("a leaf that requires a gradient refuses", """
    w = torch.ones(2, requires_grad=True); w.add_(1)
""", raises="RuntimeError")
inplace.same("+= on a leaf refuses", "w = torch.ones(2, requires_grad=True); w += 1", raises="RuntimeError")
inplace.same("a leaf under no_grad", """
    w = torch.ones(2, requires_grad=True)
    (w * w).sum().backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
        w.grad.zero_()
""")
inplace.same("recorded in place", """
    x = torch.tensor([1.0, -2.0], requires_grad=True)
    y = x * 2
    y.add_(1).relu_()
    y.sum().backward()
    g = x.grad
""")
inplace.same("+= in a recorded graph", """
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    z = y
    y += x
    y.sum().backward()
    same = z is y; g = x.grad
""")
inplace.same("a slice of a recorded tensor is assigned", """
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    y[0] = 0
    y[1:] *= 3
    y.sum().backward()
    g = x.grad
""")
inplace.same("a recorded value is written into zeros", """
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    out = torch.zeros(2, 2)
    out[0] = x
    out[1, 0] = x[1] * 2
    out.sum().backward()
    r = out.requires_grad; g = x.grad
""")
inplace.same("relu_ of what exp saved is refused", """
    x = torch.ones(2, requires_grad=True)
    y = x.exp()
    y.mul_(2)
    y.sum().backward()
""", raises="RuntimeError")
inplace.same("in place on a view of a recorded tensor", """
    x = torch.arange(4.0, requires_grad=True)
    y = (x * 1).view(2, 2)
    y[0].mul_(5)
    y.sum().backward()
    g = x.grad
""")
inplace.same("ReLU(inplace=True)", """
    x = numbers(4)
    y = nn.ReLU(inplace=True)(x)
    same = y is x
""")
inplace.same("F.relu with inplace", """
    x = numbers(4); y = F.relu(x, inplace=True); z = F.leaky_relu(numbers(3), 0.2, inplace=True)
    w = F.relu_(numbers(3))
""")
inplace.same("inplace activations in a net", """
    net = fixed(
        nn.Sequential(
            nn.Linear(3, 4),
            nn.ReLU(inplace=True),
            nn.Linear(4, 4),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(4, 1),
        )
    )
    x = numbers(5, 3).requires_grad_()
    net(x).pow(2).mean().backward()
    g = net[0].weight.grad; h = x.grad
""")
inplace.same("a residual block with out += identity", """
    conv, bn = fixed(nn.Conv2d(2, 2, 3, padding=1)), fixed(nn.BatchNorm2d(2))
    relu = nn.ReLU(inplace=True)
    x = numbers(2, 2, 4, 4).requires_grad_()
    out = bn(conv(relu(x * 1)))
    out += x
    y = relu(out)
    y.mean().backward()
    g = x.grad; w = conv.weight.grad
""")
inplace.same("a block that relu changes before the shortcut reads it", """
    conv = fixed(nn.Conv2d(1, 1, 3, padding=1))
    block = nn.Sequential(nn.ReLU(inplace=True), conv)
    x = numbers(1, 1, 4, 4)
    y = x + block(x)
""")
inplace.same("dropout with inplace in eval mode", """
    d = nn.Dropout(0.5, inplace=True).eval(); x = numbers(3); y = d(x); same = torch.equal(x, y)
""")
inplace.same("swapping rows", "x = torch.arange(4).view(2, 2); x[[0, 1]] = x[[1, 0]]")
inplace.same("in place through numpy()", "x = torch.zeros(2); x.numpy()[0] = 4; y = x + 1")
inplace.same("set from numpy through slices", """
    x = torch.zeros(2, 2); x[0] = torch.from_numpy(np.ones(2, dtype=np.float32)); x[1, :] = 3
""")
inplace.same("requires_grad_ and detach_", """
    x = torch.ones(2).requires_grad_(); y = (x * 2).detach_(); a = y.requires_grad
    b = x.requires_grad_(False).requires_grad
""")
inplace.same("in place on an expanded tensor", "x = torch.zeros(1, 2).expand(3, 2); x.add_(1)", raises="RuntimeError")
inplace.same("cumsum_, sort in place of a copy", """
    x = torch.ones(3); x.cumsum_(0); x.clamp_max_(2.5); x.nan_to_num_()
""")
inplace.same("bool in place", """
    m = torch.tensor([True, False]); m &= torch.tensor([True, True]); m |= True; n = m.logical_not_()
""")
