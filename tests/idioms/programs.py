"""Idioms: parts of programs: GAN, VAE, style transfer, attacks, distillation, metrics."""

from tests.idioms.idiom import Subject

program = Subject("Parts of programs")
program.same("a step of a GAN", """
    G, D = (
        fixed(nn.Sequential(nn.Linear(2, 4), nn.ReLU(True), nn.Linear(4, 3), nn.Tanh())),
        fixed(nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.2, inplace=True), nn.Linear(4, 1), nn.Sigmoid())),
    )
    optD, optG = (
        optim.Adam(D.parameters(), lr=0.01, betas=(0.5, 0.999)),
        optim.Adam(G.parameters(), lr=0.01, betas=(0.5, 0.999)),
    )
    criterion = nn.BCELoss(); real, noise = numbers(4, 3), numbers(4, 2)
    D.zero_grad()
    label = torch.full((4,), 1.0, dtype=real.dtype)
    errD_real = criterion(D(real).view(-1), label); errD_real.backward()
    fake = G(noise); label.fill_(0.0)
    errD_fake = criterion(D(fake.detach()).view(-1), label); errD_fake.backward()
    optD.step()
    G.zero_grad(); label.fill_(1.0)
    errG = criterion(D(fake).view(-1), label); errG.backward(); optG.step()
    d, g = D[0].weight, G[0].weight; D_x = D(real).mean().item()
""")
program.same("a Wasserstein GAN clips its critic", """
    critic = fixed(nn.Linear(3, 1)); opt = optim.RMSprop(critic.parameters(), lr=5e-3)
    loss = -torch.mean(critic(numbers(4, 3))) + torch.mean(critic(numbers(4, 3)))
    loss.backward(); opt.step()
    for p in critic.parameters():
        p.data.clamp_(-0.01, 0.01)
    w = critic.weight
""")
program.same("a gradient penalty between real and fake", """
    D = fixed(nn.Sequential(nn.Conv2d(1, 2, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(8, 1)))
    real, fake = numbers(2, 1, 4, 4), numbers(2, 1, 4, 4)
    alpha = torch.full((2, 1, 1, 1), 0.3)
    inter = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    d = D(inter)
    grads = torch.autograd.grad(
        outputs=d,
        inputs=inter,
        grad_outputs=torch.ones(d.size()),
        create_graph=True,
        retain_graph=True,
        only_inputs=True,
    )[0]
    gp = ((grads.view(grads.size(0), -1).norm(2, dim=1) - 1) ** 2).mean() * 10
    gp.backward(); w = D[0].weight.grad; del inter
""")
program.same("a least-squares GAN with Variables", """
    Tensor = torch.cuda.FloatTensor if torch.cuda.is_available() else torch.FloatTensor
    valid = Variable(Tensor(4, 1).fill_(1.0), requires_grad=False)
    fake = Variable(Tensor(4, 1).fill_(0.0), requires_grad=False)
    imgs = Variable(numbers(4, 2).type(Tensor))
    z = Variable(Tensor(np.random.normal(0, 1, (4, 3))))
    loss = 0.5 * (nn.MSELoss()(imgs[:, :1], valid) + nn.MSELoss()(imgs[:, 1:], fake))
""")
program.same("a VAE's loss", """
    mu, logvar = numbers(4, 2).requires_grad_(), numbers(4, 2).requires_grad_()
    std = torch.exp(0.5 * logvar); eps = torch.ones_like(std) * 0.1
    z = mu + eps * std
    recon, x = torch.sigmoid(z @ numbers(2, 3)), torch.rand(4, 3) * 0 + 0.5
    BCE = F.binary_cross_entropy(recon, x.view(-1, 3), reduction='sum')
    KLD = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    (BCE + KLD).backward()
    a, b = mu.grad, logvar.grad
""")
program.same("reparameterize", """
    def reparameterize(mu, logvar):
        std = torch.exp(0.5 * logvar)
        eps = torch.randn_like(std)
        return eps.mul(std).add_(mu)
    z = reparameterize(torch.zeros(2, 3), torch.zeros(2, 3))
""", draws="z")
program.same("an autoencoder", """
    net = fixed(
        nn.Sequential(
            nn.Conv2d(1, 2, 3, stride=2, padding=1),
            nn.ReLU(True),
            nn.ConvTranspose2d(2, 1, 3, stride=2, padding=1, output_padding=1),
            nn.Sigmoid(),
        )
    )
    x = torch.sigmoid(numbers(2, 1, 6, 6)); y = net(x); loss = F.mse_loss(y, x); loss.backward()
    g = net[0].weight.grad
""")
program.same("a denoising input", """
    x = torch.ones(4, 4); noisy = x + 0.5 * torch.randn(*x.shape); clipped = torch.clamp(noisy, 0.0, 1.0)
    ok = bool(clipped.max() <= 1)
""", draws="noisy clipped")
program.same("style transfer: Gram losses", """
    class StyleLoss(nn.Module):
        def __init__(self, target):
            super().__init__()
            self.target = self.gram(target).detach()
        def gram(self, input):
            a, b, c, d = input.size()
            features = input.view(a * b, c * d)
            return torch.mm(features, features.t()).div(a * b * c * d)
        def forward(self, input):
            self.loss = F.mse_loss(self.gram(input), self.target)
            return input
    target = numbers(1, 2, 4, 4); img = numbers(1, 2, 4, 4).requires_grad_()
    layer = StyleLoss(target); layer(img); loss = layer.loss * 1e3; loss.backward(); g = img.grad
""")
program.same("style transfer: the image is the parameter", """
    img = torch.full((1, 3, 4, 4), 0.5).requires_grad_(True); target = torch.sigmoid(numbers(1, 3, 4, 4))
    opt = optim.Adam([img], lr=0.1)
    for _ in range(3):
        with torch.no_grad():
            img.clamp_(0, 1)
        opt.zero_grad(); loss = F.mse_loss(img, target); loss.backward(); opt.step()
    img.data.clamp_(0, 1)
""")
program.same("style transfer: mean and std as a module", """
    class Normalization(nn.Module):
        def __init__(self, mean, std):
            super().__init__()
            self.mean = torch.tensor(mean).view(-1, 1, 1)
            self.std = torch.tensor(std).view(-1, 1, 1)
        def forward(self, img):
            return (img - self.mean) / self.std
    y = Normalization([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])(numbers(1, 3, 2, 2))
""")
program.same("total variation", """
    x = numbers(1, 3, 4, 4).requires_grad_()
    tv = torch.mean(torch.abs(x[:, :, :, :-1] - x[:, :, :, 1:])) + torch.mean(
        torch.abs(x[:, :, :-1, :] - x[:, :, 1:, :])
    )
    tv.backward(); g = x.grad
""")
program.same("FGSM", """
    net = fixed(nn.Sequential(nn.Flatten(), nn.Linear(16, 3))); x = torch.sigmoid(numbers(2, 1, 4, 4))
    t = torch.tensor([0, 2])
    x.requires_grad = True
    loss = F.nll_loss(F.log_softmax(net(x), dim=1), t)
    net.zero_grad(); loss.backward()
    adv = torch.clamp(x + 0.1 * x.grad.data.sign(), 0, 1)
    pred = net(adv).max(1, keepdim=True)[1]
""")
program.same("PGD", """
    net = fixed(nn.Linear(4, 3)); x, t = torch.sigmoid(numbers(2, 4)), torch.tensor([1, 0])
    adv = x.clone().detach()
    for _ in range(3):
        adv.requires_grad_()
        loss = F.cross_entropy(net(adv), t)
        g = torch.autograd.grad(loss, [adv])[0]
        adv = adv.detach() + 0.02 * torch.sign(g.detach())
        adv = torch.min(torch.max(adv, x - 0.05), x + 0.05).clamp(0, 1)
""")
program.same("distillation", """
    teacher, student = fixed(nn.Linear(4, 3)).eval(), fixed(nn.Linear(4, 3, bias=False))
    x, t = numbers(5, 4), torch.tensor([0, 1, 2, 1, 0]); T = 4.0
    with torch.no_grad():
        soft = teacher(x)
    out = student(x)
    loss = (
        nn.KLDivLoss(reduction='batchmean')(F.log_softmax(out / T, dim=1), F.softmax(soft / T, dim=1))
        * (0.7 * T * T)
        + F.cross_entropy(out, t) * 0.3
    )
    loss.backward(); g = student.weight.grad
""")
program.same("saliency and Grad-CAM", """
    conv, fc = fixed(nn.Conv2d(1, 2, 3)), fixed(nn.Linear(2, 3)); x = numbers(1, 1, 5, 5).requires_grad_()
    grads = {}
    a = F.relu(conv(x)); a.register_hook(lambda g: grads.update(a=g))
    out = fc(a.mean(dim=[2, 3])); out[0, out.argmax()].backward()
    cam = F.relu((grads['a'].mean(dim=(2, 3), keepdim=True) * a).sum(1)).detach()
    saliency, _ = torch.max(x.grad.data.abs(), dim=1)
""")
program.same("DeepDream", """
    net = fixed(nn.Conv2d(1, 2, 3)); img = numbers(1, 1, 6, 6).requires_grad_()
    for _ in range(2):
        loss = net(img).norm(); loss.backward()
        img.data += 0.1 * img.grad.data / img.grad.data.abs().mean()
        img.grad.data.zero_()
""")
program.same("a residual network's block", """
    class BasicBlock(nn.Module):
        expansion = 1
        def __init__(self, inplanes, planes, stride=1, downsample=None):
            super().__init__()
            self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(planes)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False); self.bn2 = nn.BatchNorm2d(planes)
            self.downsample = downsample
        def forward(self, x):
            identity = x
            out = self.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            if self.downsample is not None:
                identity = self.downsample(x)
            out += identity
            return self.relu(out)
    net = fixed(BasicBlock(2, 3, 2, nn.Sequential(nn.Conv2d(2, 3, 1, 2, bias=False), nn.BatchNorm2d(3))))
    y = net(numbers(2, 2, 6, 6)); y.mean().backward(); g = net.conv1.weight.grad
""")
program.same("VGG by a list", """
    cfg = [2, 'M', 4, 4, 'M']
    def make_layers(cfg, batch_norm=False):
        layers = []; in_channels = 3
        for v in cfg:
            if v == 'M':
                layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            else:
                conv2d = nn.Conv2d(in_channels, v, kernel_size=3, padding=1)
                layers += (
                    [conv2d, nn.BatchNorm2d(v), nn.ReLU(inplace=True)]
                    if batch_norm
                    else [conv2d, nn.ReLU(inplace=True)]
                )
                in_channels = v
        return nn.Sequential(*layers)
    net = fixed(make_layers(cfg, True)); y = net(numbers(1, 3, 8, 8)); y.sum().backward()
    g = net[0].weight.grad
""")
program.same("a dense block", """
    x = numbers(1, 2, 4, 4); convs = [fixed(nn.Conv2d(2 + i, 1, 3, padding=1)) for i in range(2)]
    features = [x]
    for conv in convs:
        features.append(conv(torch.cat(features, 1)))
    y = torch.cat(features, dim=1)
""")
program.same("a spatial transformer", """
    loc = fixed(nn.Linear(16, 6)); loc.weight.data.zero_()
    loc.bias.data.copy_(torch.tensor([1, 0, 0, 0, 1, 0], dtype=torch.float))
    x = numbers(1, 1, 4, 4); theta = loc(x.view(-1, 16)).view(-1, 2, 3)
    grid = F.affine_grid(theta, x.size(), align_corners=False); y = F.grid_sample(x, grid, align_corners=False)
    y.sum().backward(); g = loc.weight.grad
""")
program.same("a vector quantiser", """
    z, codes = numbers(4, 3).requires_grad_(), numbers(5, 3).requires_grad_()
    d = z.pow(2).sum(1, keepdim=True) + codes.pow(2).sum(1) - 2 * z @ codes.t()
    index = torch.argmin(d, dim=1); onehot = torch.zeros(4, 5).scatter_(1, index.unsqueeze(1), 1)
    q = onehot @ codes; loss = F.mse_loss(q, z.detach()) + 0.25 * F.mse_loss(q.detach(), z)
    q = z + (q - z).detach()
    (q.sum() + loss).backward(); a, b = z.grad, codes.grad
    p = torch.exp(-torch.sum(onehot.mean(0) * torch.log(onehot.mean(0) + 1e-10)))
""")
program.same("a diffusion schedule", """
    betas = torch.linspace(1e-4, 0.02, 10); alphas = 1.0 - betas; bar = torch.cumprod(alphas, dim=0)
    prev = F.pad(bar[:-1], (1, 0), value=1.0); s = torch.sqrt(1.0 - bar); t = torch.tensor([0, 5])
    a = bar.gather(-1, t).reshape(2, *((1,) * 3)); b = bar[t][:, None, None, None]; x = a * numbers(2, 1, 2, 2)
""")
program.same("sinusoidal positions", """
    pos = torch.arange(4).unsqueeze(1); div = torch.exp(torch.arange(0, 6, 2) * (-math.log(10000.0) / 6))
    pe = torch.zeros(4, 6); pe[:, 0::2] = torch.sin(pos * div); pe[:, 1::2] = torch.cos(pos * div)
""")
program.same("contrastive loss", """
    a, b = F.normalize(numbers(4, 3), dim=1), F.normalize(numbers(4, 3), dim=1); logits = a @ b.T / 0.07
    labels = torch.arange(4); loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2
""")
program.same("SimCLR's mask", """
    f = F.normalize(numbers(4, 3), dim=1); labels = torch.cat([torch.arange(2) for i in range(2)], dim=0)
    labels = (labels.unsqueeze(0) == labels.unsqueeze(1)).float(); sim = torch.matmul(f, f.T)
    mask = torch.eye(4, dtype=torch.bool); labels = labels[~mask].view(4, -1); sim = sim[~mask].view(4, -1)
    pos = sim[labels.bool()].view(4, -1)
""")
program.same("a siamese net", """
    net = fixed(nn.Linear(3, 2)); a, b = net(numbers(4, 3)), net(numbers(4, 3))
    d = F.pairwise_distance(a, b, keepdim=True); y = torch.tensor([[1.0], [0], [1], [0]])
    loss = torch.mean((1 - y) * d.pow(2) + y * torch.clamp(1.0 - d, min=0.0).pow(2)); loss.backward()
    g = net.weight.grad
""")
program.same("REINFORCE's returns", """
    rewards, R, returns = [1.0, 0.0, 2.0], 0, []
    for r in rewards[::-1]:
        R = r + 0.9 * R
        returns.insert(0, R)
    returns = torch.tensor(returns); returns = (returns - returns.mean()) / (returns.std() + 1e-8)
""")
program.same("Q-learning's targets", """
    q, nq = numbers(3, 2).requires_grad_(), numbers(3, 2); a = torch.tensor([[0], [1], [1]])
    r = torch.tensor([1.0, 0.0, 0.5]); done = torch.tensor([0.0, 1.0, 0.0]); v = q.gather(1, a).squeeze(1)
    target = r + 0.99 * nq.max(1)[0].detach() * (1 - done); loss = F.smooth_l1_loss(v, target); loss.backward()
    g = q.grad
""")
program.same("Categorical by hand", """
    p = F.softmax(torch.tensor([[0.0, 50.0]]), dim=-1); a = torch.multinomial(p, 1)
    logp = torch.log(p.gather(1, a))
""")

program.same("MNIST's example net", """
    class Net(nn.Module):
        def __init__(self):
            super(Net, self).__init__()
            self.conv1 = nn.Conv2d(1, 4, 3, 1); self.conv2 = nn.Conv2d(4, 4, 3, 1)
            self.dropout1 = nn.Dropout(0.25); self.dropout2 = nn.Dropout(0.5)
            self.fc1 = nn.Linear(576, 8); self.fc2 = nn.Linear(8, 10)
        def forward(self, x):
            x = F.relu(self.conv1(x)); x = F.relu(self.conv2(x)); x = F.max_pool2d(x, 2); x = self.dropout1(x)
            x = torch.flatten(x, 1); x = F.relu(self.fc1(x)); x = self.dropout2(x)
            return F.log_softmax(self.fc2(x), dim=1)
    net = fixed(Net()).eval(); y = net(numbers(2, 1, 28, 28)); n = sum(p.numel() for p in net.parameters())
    text = repr(net)
""")
program.same("LeNet by hand", """
    net = fixed(
        nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),
            nn.Sigmoid(),
            nn.AvgPool2d(2, stride=2),
            nn.Conv2d(6, 16, 5),
            nn.Sigmoid(),
            nn.AvgPool2d(kernel_size=2, stride=2),
            nn.Flatten(),
            nn.Linear(400, 10),
        )
    )
    X = numbers(1, 1, 28, 28); shapes = []
    for layer in net:
        X = layer(X); shapes.append(tuple(X.shape))
""")
program.same("softmax regression from scratch", """
    W = numbers(4, 3).requires_grad_(); b = torch.zeros(3, requires_grad=True)
    X, y = numbers(5, 4), torch.tensor([0, 1, 2, 1, 0])
    def softmax(X):
        X_exp = torch.exp(X); return X_exp / X_exp.sum(1, keepdims=True)
    p = softmax(X @ W + b); loss = -torch.log(p[range(len(p)), y]).mean(); loss.backward(); g = W.grad
""")
program.same("an MLP from scratch with Parameters", """
    W1 = nn.Parameter(numbers(3, 4) * 0.1); b1 = nn.Parameter(torch.zeros(4))
    H = torch.max(numbers(2, 3) @ W1 + b1, torch.zeros(4)); H.sum().backward(); g = W1.grad
    optim.SGD([W1, b1], lr=0.1).step()
""")
program.same("corr2d by loops", """
    def corr2d(X, K):
        h, w = K.shape
        Y = torch.zeros((X.shape[0] - h + 1, X.shape[1] - w + 1))
        for i in range(Y.shape[0]):
            for j in range(Y.shape[1]):
                Y[i, j] = (X[i:i + h, j:j + w] * K).sum()
        return Y
    X = torch.ones((4, 5)); X[:, 2:4] = 0; Y = corr2d(X, torch.tensor([[1.0, -1.0]]))
""")
program.same("corr2d by loops, recorded", """
    K = numbers(2, 2).requires_grad_(); X = numbers(3, 3); Y = torch.zeros(2, 2)
    for i in range(2):
        for j in range(2):
            Y[i, j] = (X[i:i + 2, j:j + 2] * K).sum()
    (Y ** 2).sum().backward(); g = K.grad
""")
program.same("batch normalisation from scratch", """
    X = numbers(3, 2, 4, 4); mean = X.mean(dim=(0, 2, 3), keepdim=True)
    var = ((X - mean) ** 2).mean(dim=(0, 2, 3), keepdim=True); Y = (X - mean) / torch.sqrt(var + 1e-5)
    moving = 0.9 * torch.zeros(1, 2, 1, 1) + 0.1 * mean
""")
program.same("dropout from scratch", """
    X = torch.ones(2, 8); mask = (torch.rand(X.shape) > 0.5).float(); Y = mask * X / (1.0 - 0.5)
""", draws="mask Y")
program.same("k nearest neighbours", """
    x, y = numbers(3, 2), numbers(5, 2); d = torch.sum((x.unsqueeze(1) - y.unsqueeze(0)) ** 2, dim=2)
    v, i = d.topk(2, dim=1, largest=False)
""")
program.same("k-means", """
    x = numbers(8, 2); c = x[:2].clone()
    for _ in range(3):
        a = torch.cdist(x, c).argmin(1)
        c = torch.stack([x[a == k].mean(0) for k in range(2)])
""")
program.same("PCA by NumPy", """
    x = numbers(6, 3); x = x - x.mean(0)
    U, S, V = np.linalg.svd(x.numpy(), full_matrices=False); s = torch.from_numpy(S)
    r = (x @ torch.from_numpy(V[:2]).t()).abs(); del U, V
""")
program.same("non-maximum boxes", """
    b = torch.tensor([[0.0, 0, 2, 2], [1, 1, 3, 3]]); area = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    lt = torch.max(b[:, None, :2], b[:, :2]); rb = torch.min(b[:, None, 2:], b[:, 2:])
    wh = (rb - lt).clamp(min=0); inter = wh[:, :, 0] * wh[:, :, 1]; iou = inter / (area[:, None] + area - inter)
""")
program.same("pruning by a mask", """
    net = fixed(nn.Linear(4, 3)); t = torch.quantile(net.weight.data.abs().flatten(), 0.5)
    mask = (net.weight.data.abs() > t).float(); net.weight.data.mul_(mask); w = net.weight
    s = float((w == 0).sum()) / w.nelement()
""")
program.same("an ensemble's vote", """
    outs = [numbers(3, 4) for _ in range(3)]; m = torch.stack(outs).mean(0).argmax(1)
    v = torch.mode(torch.stack([o.argmax(1) for o in outs]), dim=0)[0]
""")
program.same("time and memory of a net", """
    net = nn.Conv2d(1, 2, 3); mb = sum(p.nelement() * p.element_size() for p in net.parameters()) / 1024 ** 2
    b = sum(b.numel() for b in net.buffers())
""")
program.same("argparse's device and seed", """
    import argparse
    args = argparse.Namespace(no_cuda=True, seed=1, lr=0.01)
    use_cuda = not args.no_cuda and torch.cuda.is_available(); torch.manual_seed(args.seed)
    device = torch.device('cuda' if use_cuda else 'cpu')
    kwargs = {'num_workers': 1, 'pin_memory': True} if use_cuda else {}
""")
program.same("the version of torch", "v = isinstance(torch.__version__, str)")
