"""Idioms: layers, their functions, losses; initialisation."""

from tests.idioms.idiom import Subject

layer = Subject("Layers and functional")
layer.same("Conv2d", """
    conv = fixed(nn.Conv2d(3, 4, kernel_size=3, stride=2, padding=1)); x = numbers(2, 3, 8, 8); y = conv(x)
    w = conv.weight.shape; b = conv.bias.shape
""")
layer.same("F.conv2d with a kernel by hand", """
    sobel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]).view(1, 1, 3, 3)
    y = F.conv2d(numbers(1, 1, 5, 5), sobel, padding=1)
    z = F.conv2d(numbers(1, 2, 5, 5), sobel.repeat(2, 1, 1, 1), groups=2)
""")
layer.same("Conv2d padding='same', dilation, groups", """
    x = numbers(1, 4, 6, 6); a = fixed(nn.Conv2d(4, 4, 3, padding='same', dilation=2))(x)
    b = fixed(nn.Conv2d(4, 8, (3, 1), groups=2, bias=False))(x)
    c = fixed(nn.Conv2d(4, 2, 3, padding=1, padding_mode='reflect'))(x)
""")
layer.same("Conv1d, Conv3d", """
    a = fixed(nn.Conv1d(2, 3, 3))(numbers(2, 2, 7)); b = fixed(nn.Conv3d(1, 2, 2))(numbers(1, 1, 3, 4, 4))
""")
layer.same("ConvTranspose2d", """
    x = numbers(1, 2, 3, 3); a = fixed(nn.ConvTranspose2d(2, 3, 4, 2, 1, bias=False))(x)
    b = fixed(nn.ConvTranspose2d(2, 1, 3, stride=2, padding=1, output_padding=1))(x)
    c = fixed(nn.ConvTranspose2d(2, 2, 3, stride=2))(x, output_size=(8, 8))
""")
layer.same("an image without a batch", """
    y = fixed(nn.Conv2d(1, 2, 3))(numbers(1, 5, 5)); z = nn.MaxPool2d(2)(numbers(1, 4, 4))
""")
layer.same("wrong channels", "nn.Conv2d(3, 4, 3)(torch.zeros(1, 1, 8, 8))", raises="RuntimeError")
layer.same("a kernel larger than the image", "nn.Conv2d(1, 1, 5)(torch.zeros(1, 1, 3, 3))", raises="RuntimeError")
layer.same("Linear of a wrong size", "nn.Linear(3, 2)(torch.zeros(1, 4))", raises="RuntimeError")
layer.same("pooling", """
    x = numbers(1, 2, 6, 6); a = F.max_pool2d(x, 2); b = nn.MaxPool2d(3, stride=2, padding=1)(x)
    c = F.avg_pool2d(x, 2); d = nn.AvgPool2d(3, 1, 1, count_include_pad=False)(x)
    e = F.max_pool2d(x, kernel_size=2, ceil_mode=True); f = F.max_pool1d(x[0], 2)
""")
layer.same("adaptive pooling", """
    x = numbers(2, 3, 5, 7); a = F.adaptive_avg_pool2d(x, 1); b = nn.AdaptiveAvgPool2d((2, 3))(x)
    c = F.adaptive_max_pool2d(x, (1, 1)); d = nn.AdaptiveAvgPool2d((None, 1))(x); e = x.mean([2, 3])
    f = F.adaptive_avg_pool2d(x, (1, 1)).view(2, -1)
""")
layer.same("max pooling with indices and back", """
    x = numbers(1, 1, 4, 4); y, i = F.max_pool2d(x, 2, return_indices=True); z = F.max_unpool2d(y, i, 2)
    p = nn.MaxPool2d(2, return_indices=True)(x)[1]; u = nn.MaxUnpool2d(2)(y, i)
""")
layer.same("BatchNorm2d in training and in evaluation", """
    bn = nn.BatchNorm2d(3); x = numbers(4, 3, 2, 2); y = bn(x)
    m, v, n = bn.running_mean, bn.running_var, bn.num_batches_tracked; bn.eval(); z = bn(x)
""")
layer.same("BatchNorm1d, affine and momentum", """
    a = nn.BatchNorm1d(3, affine=False)(numbers(5, 3)); bn = nn.BatchNorm1d(3, momentum=0.5, eps=1e-3)
    b = bn(numbers(5, 3)); c = bn.running_mean; d = nn.BatchNorm1d(2, track_running_stats=False).running_mean
""")
layer.same("LayerNorm, GroupNorm, InstanceNorm2d", """
    x = numbers(2, 4, 3, 3); a = nn.LayerNorm(3)(x); b = nn.LayerNorm([4, 3, 3])(x); c = nn.GroupNorm(2, 4)(x)
    d = nn.InstanceNorm2d(4)(x); e = F.layer_norm(x, (3,)); f = nn.InstanceNorm2d(4, affine=True)(x)
""")
layer.same("LocalResponseNorm, F.normalize", """
    x = numbers(2, 4, 3, 3); a = nn.LocalResponseNorm(2)(x); b = F.normalize(x, dim=1)
    c = F.normalize(x.flatten(1), p=2)
""")
layer.same("RMSNorm", "y = nn.RMSNorm(4)(numbers(2, 4))")
layer.same("activations", """
    x = numbers(6)
    a = [
        m(x)
        for m in (
            nn.ReLU(),
            nn.LeakyReLU(0.1),
            nn.ELU(),
            nn.GELU(),
            nn.SiLU(),
            nn.Sigmoid(),
            nn.Tanh(),
            nn.Softplus(),
            nn.Hardswish(),
            nn.LogSigmoid(),
        )
    ]
""")
layer.same("more activations", """
    x = numbers(6)
    a = [
        m(x)
        for m in (
            nn.ReLU6(),
            nn.Hardsigmoid(),
            nn.Hardtanh(),
            nn.SELU(),
            nn.CELU(),
            nn.Mish(),
            nn.Softsign(),
            nn.Tanhshrink(),
            nn.Threshold(0.1, 20),
            nn.PReLU(),
            nn.GELU(approximate='tanh'),
        )
    ]
""")
layer.same("activations as functions", """
    x = numbers(6); a, b, c, d = F.relu(x), F.leaky_relu(x, 0.2), F.elu(x), F.gelu(x)
    e, f, g = F.silu(x), F.softplus(x), F.hardtanh(x); h = F.relu6(x); k = F.selu(x); l = F.mish(x)
    m = F.threshold(x, 0.0, -1.0); n = F.hardsigmoid(x); o = F.prelu(x, torch.tensor([0.25]))
""")
layer.same("F.sigmoid, F.tanh, F.glu, F.softmin", """
    x = numbers(2, 4); a, b = F.sigmoid(x), F.tanh(x); c = F.glu(x, dim=1); d = F.softmin(x, dim=1)
    e = nn.GLU()(x)
""")
layer.same("softmax with and without dim", """
    x = numbers(2, 3); a = F.softmax(x, dim=1); b = nn.Softmax(dim=-1)(x); c = F.log_softmax(x, dim=1)
    d = nn.Softmax()(x); e = nn.LogSoftmax(dim=1)(x); f = F.softmax(x); g = nn.Softmax2d()(numbers(1, 2, 2, 2))
""")
layer.same("dropout", """
    x = torch.ones(1000); y = F.dropout(x, 0.5, training=True); kept = (y != 0).float().mean().item()
    ok = 0.3 < kept < 0.7; z = F.dropout(x, p=0.5, training=False); scale = y.max().item()
""", draws="y kept")
layer.same("Dropout2d, on vectors too", """
    d = nn.Dropout2d(0.5).eval(); y = d(torch.ones(2, 3)); z = nn.Dropout2d(0.25)(torch.ones(2, 3, 4, 4))
    a = nn.Dropout2d()(torch.ones(4, 6))
""", draws="z a")
layer.same("Embedding", """
    e = fixed(nn.Embedding(5, 3, padding_idx=0)); y = e(torch.tensor([[1, 2], [0, 4]])); y.sum().backward()
    g = e.weight.grad; z = F.embedding(torch.tensor([1]), e.weight)
    w = nn.Embedding.from_pretrained(torch.eye(2))(torch.tensor([1]))
""")
layer.same("Flatten, Unflatten", """
    x = numbers(2, 3, 4); a = nn.Flatten()(x); b = nn.Flatten(0, 1)(x); c = nn.Unflatten(1, (3, 4))(a)
""")
layer.same("Upsample, interpolate", """
    x = numbers(1, 1, 3, 3); a = nn.Upsample(scale_factor=2, mode='nearest')(x)
    b = F.interpolate(x, size=(5, 4), mode='bilinear', align_corners=False)
    c = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True); d = F.interpolate(x, size=6)
    e = nn.UpsamplingBilinear2d(scale_factor=2)(x)
""")
layer.same("bicubic, area", """
    x = numbers(1, 1, 3, 4); a = F.interpolate(x, scale_factor=2, mode='bicubic')
    b = F.interpolate(x, size=(7, 5), mode='bicubic', align_corners=True)
    c = F.interpolate(x, size=2, mode='area')
""")
layer.same("lp_pool2d", """
    y = F.lp_pool2d(numbers(1, 2, 6, 6), 2, 2); z = nn.LPPool2d(1, 3, stride=1)(torch.ones(1, 1, 4, 4))
""")
layer.same("PixelShuffle", """
    x = numbers(1, 8, 2, 2); a = nn.PixelShuffle(2)(x); b = F.pixel_unshuffle(a, 2); c = nn.ChannelShuffle(2)(x)
""")
layer.same("padding", """
    x = numbers(1, 1, 3, 3); a = F.pad(x, (1, 1, 1, 1)); b = F.pad(x, (1, 0), 'constant', 5.0)
    c = F.pad(x, (1, 1, 1, 1), mode='reflect'); d = nn.ZeroPad2d(1)(x); e = nn.ReflectionPad2d(1)(x)
    f = nn.ReplicationPad2d((1, 0, 0, 1))(x); g = nn.ConstantPad2d(1, 2.0)(x); h = nn.CircularPad2d(1)(x)
""")
layer.same("unfold and fold", """
    x = numbers(1, 2, 4, 4); a = F.unfold(x, kernel_size=2, stride=2)
    b = F.fold(a, output_size=(4, 4), kernel_size=2, stride=2); c = nn.Unfold(3, padding=1)(x)
""")
layer.same("grid_sample and affine_grid", """
    theta = torch.tensor([[[1.0, 0.2, 0.1], [0.0, 1.0, 0.0]]]); x = numbers(1, 1, 4, 4)
    grid = F.affine_grid(theta, x.size(), align_corners=False); y = F.grid_sample(x, grid, align_corners=False)
    z = F.grid_sample(x, grid, mode='nearest', padding_mode='border', align_corners=True)
""")
layer.same("Bilinear, F.linear", """
    y = fixed(nn.Bilinear(2, 3, 4))(numbers(5, 2), numbers(5, 3)); z = F.linear(numbers(2, 3), numbers(4, 3))
    w = F.bilinear(numbers(5, 2), numbers(5, 3), numbers(1, 2, 3))
""")
layer.same("cross_entropy", """
    x, t = numbers(4, 3), torch.tensor([0, 2, 1, 1]); a = F.cross_entropy(x, t)
    b = nn.CrossEntropyLoss(reduction='none')(x, t)
    c = F.cross_entropy(x, t, weight=torch.tensor([1.0, 2.0, 3.0]))
    d = nn.CrossEntropyLoss(label_smoothing=0.1)(x, t); e = F.cross_entropy(x, t, ignore_index=1)
    f = F.cross_entropy(x, F.softmax(x, 1)); g = nn.CrossEntropyLoss(reduction='sum')(x, t)
""")
layer.same("cross_entropy of images", """
    x, t = numbers(2, 3, 2, 2), torch.tensor([[[0, 1], [2, 0]], [[1, 1], [0, 2]]]); a = F.cross_entropy(x, t)
    b = nn.NLLLoss()(F.log_softmax(x, dim=1), t)
""")
layer.same("nll_loss", """
    x, t = numbers(4, 3), torch.tensor([0, 2, 1, 1]); a = F.nll_loss(F.log_softmax(x, dim=1), t)
    b = F.nll_loss(F.log_softmax(x, dim=1), t, reduction='sum').item()
    c = F.nll_loss(F.log_softmax(x, 1), t, size_average=False)
""")
layer.same("regression losses", """
    x, t = numbers(4, 3), numbers(4, 3)
    a, b, c, d = F.mse_loss(x, t), F.l1_loss(x, t), F.smooth_l1_loss(x, t), F.huber_loss(x, t, delta=0.5)
    e = nn.MSELoss(reduction='sum')(x, t); f = nn.SmoothL1Loss(beta=0.5)(x, t)
    g = nn.MSELoss(size_average=False)(x, t); h = nn.MSELoss(reduce=False)(x, t)
""")
layer.same("binary losses", """
    x, t = numbers(4), torch.tensor([0.0, 1.0, 1.0, 0.0]); a = F.binary_cross_entropy(torch.sigmoid(x), t)
    b = F.binary_cross_entropy_with_logits(x, t); c = nn.BCELoss()(torch.sigmoid(x), t)
    d = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0))(x, t)
    e = F.binary_cross_entropy(torch.sigmoid(x), t, reduction='sum')
""")
layer.same("kl_div", """
    x, y = F.log_softmax(numbers(3, 4), 1), F.softmax(numbers(3, 4), 1)
    a = F.kl_div(x, y, reduction='batchmean'); b = nn.KLDivLoss(reduction='sum')(x, y)
    c = F.kl_div(x, y.log(), log_target=True, reduction='none')
""")
layer.same("margin and embedding losses", """
    a, p, n = numbers(3, 4), numbers(3, 4), numbers(3, 4); l = nn.TripletMarginLoss(margin=1.0)(a, p, n)
    m = F.margin_ranking_loss(a[:, 0], p[:, 0], torch.ones(3), margin=0.1)
    c = nn.CosineEmbeddingLoss()(a, p, torch.tensor([1.0, -1.0, 1.0]))
    h = nn.HingeEmbeddingLoss()(a, torch.ones(3, 4)); s = F.soft_margin_loss(a, torch.ones(3, 4))
    mm = F.multi_margin_loss(a, torch.tensor([0, 1, 2]))
    ml = F.multilabel_soft_margin_loss(a, torch.ones(3, 4))
""")
layer.same("poisson and gaussian losses", """
    x, t = numbers(4), torch.tensor([1.0, 2.0, 0.0, 3.0]); a = F.poisson_nll_loss(x, t)
    b = F.gaussian_nll_loss(x, t, torch.ones(4)); c = nn.PoissonNLLLoss()(x, t)
""")
layer.same("one sigmoid per class", """
    x, t = numbers(2, 3), torch.tensor([[1.0, 0, 1], [0, 0, 1]])
    loss = nn.BCEWithLogitsLoss(reduction='none')(x, t).mean(dim=1); pred = (torch.sigmoid(x) > 0.5).float()
""")
layer.same("a class out of range", "F.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 5]))", raises="IndexError")
layer.same("a target of floats for classes", """
    F.cross_entropy(torch.zeros(2, 3), torch.tensor([0.0, 1.0]))
""", raises="RuntimeError")
layer.same("an unknown reduction", """
    F.mse_loss(torch.zeros(2), torch.zeros(2), reduction='average')
""", raises="ValueError")
layer.same("the size before a linear layer", """
    features = nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)
    )
    n = features(torch.zeros(1, 1, 28, 28)).view(1, -1).size(1)
    also = features(torch.zeros(1, 1, 28, 28)).numel()
""")
layer.same("einsum of patches is a convolution", """
    x, w = numbers(1, 2, 5, 5), numbers(3, 2, 3, 3); p = x.unfold(2, 3, 1).unfold(3, 3, 1)
    y = torch.einsum('nchwij,ocij->nohw', p, w); same = torch.allclose(y, F.conv2d(x, w), atol=1e-5)
""")
layer.same("SyncBatchNorm aside: batch statistics of one", "nn.BatchNorm1d(2)(torch.ones(1, 2))", raises="ValueError")
layer.same("scaled_dot_product_attention by hand", """
    q, k, v = numbers(2, 3, 4), numbers(2, 5, 4), numbers(2, 5, 4)
    a = torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(4), dim=-1) @ v
""")
layer.same("squeeze and excitation", """
    x = numbers(2, 4, 3, 3)
    fc = fixed(nn.Sequential(nn.Linear(4, 2), nn.ReLU(inplace=True), nn.Linear(2, 4), nn.Sigmoid()))
    y = fc(nn.AdaptiveAvgPool2d(1)(x).view(2, 4)).view(2, 4, 1, 1); z = x * y.expand_as(x)
""")
layer.same("a U-Net's skip connection", """
    up, down = fixed(nn.ConvTranspose2d(4, 2, 2, stride=2)), numbers(1, 2, 5, 5); x = up(numbers(1, 4, 2, 2))
    dy, dx = down.size(2) - x.size(2), down.size(3) - x.size(3)
    x = F.pad(x, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2]); y = torch.cat([down, x], dim=1)
""")
layer.same("depthwise separable convolution", """
    net = fixed(
        nn.Sequential(
            nn.Conv2d(3, 3, 3, padding=1, groups=3, bias=False),
            nn.BatchNorm2d(3),
            nn.ReLU6(inplace=True),
            nn.Conv2d(3, 5, 1, bias=False),
        )
    )
    y = net(numbers(2, 3, 4, 4))
""")
layer.same("weights of a layer as functions' arguments", """
    lin = fixed(nn.Linear(3, 2)); x = numbers(4, 3); y = x @ lin.weight.t() + lin.bias
    same = torch.allclose(y, lin(x), atol=1e-6)
""")

init = Subject("Initialisation")
init.same("constant_, zeros_, ones_, eye_", """
    w = torch.empty(2, 3); nn.init.constant_(w, 0.3); b = nn.init.zeros_(torch.empty(2))
    o = nn.init.ones_(torch.empty(2)); e = nn.init.eye_(torch.empty(2, 3))
""")
init.same("xavier, kaiming", """
    w = torch.empty(200, 100); nn.init.xavier_uniform_(w); a = w.abs().max().item() <= math.sqrt(6 / 300) + 1e-6
    nn.init.kaiming_normal_(w, mode='fan_out', nonlinearity='relu')
    b = abs(w.std().item() - math.sqrt(2 / 200)) < 0.01
    nn.init.xavier_normal_(w, gain=nn.init.calculate_gain('relu')); nn.init.kaiming_uniform_(w, a=math.sqrt(5))
""", draws="w")
init.same("orthogonal_, trunc_normal_, dirac_, sparse_", """
    w = nn.init.orthogonal_(torch.empty(3, 3)); ok = torch.allclose(w @ w.t(), torch.eye(3), atol=1e-5)
    t = nn.init.trunc_normal_(torch.empty(100), std=0.02); small = t.abs().max().item() <= 2.0
    d = nn.init.dirac_(torch.empty(2, 2, 3, 3))
""", draws="w t")
init.same("normal_, uniform_", """
    w = nn.init.normal_(torch.empty(1000), mean=1.0, std=0.1); ok = abs(w.mean().item() - 1) < 0.05
    u = nn.init.uniform_(torch.empty(10), -0.1, 0.1)
""", draws="w u")
init.same("calculate_gain", """
    g = [float(nn.init.calculate_gain(n)) for n in ('linear', 'relu', 'tanh', 'sigmoid', 'conv2d')]
    l = nn.init.calculate_gain('leaky_relu', 0.2)
""")
init.same("a loop over modules()", """
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(2, 2))
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode='fan_out', nonlinearity='relu')
            if m.bias is not None:
                nn.init.constant_(m.bias, 0)
        elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.constant_(m.weight, 1); nn.init.constant_(m.bias, 0)
        elif isinstance(m, nn.Linear):
            m.weight.data.normal_(0, 0.01); m.bias.data.zero_()
    b = net[0].bias; w = net[1].weight
""")
init.same("default bounds of Linear and Conv2d", """
    w = nn.Linear(100, 50).weight; a = w.abs().max().item() <= 0.1 + 1e-6; c = nn.Conv2d(4, 8, 5)
    b = c.weight.abs().max().item() <= 0.1 + 1e-6; k = c.bias.abs().max().item() <= 0.1 + 1e-6
""", draws="w")
init.same("fan in by hand", """
    conv = nn.Conv2d(3, 8, 3); n = conv.kernel_size[0] * conv.kernel_size[1] * conv.out_channels
    conv.weight.data.normal_(0, math.sqrt(2.0 / n)); s = conv.stride; p = conv.padding; k = conv.kernel_size
    i = conv.in_channels; d = conv.dilation; g = conv.groups
""")
init.same("initialised under no_grad", """
    lin = nn.Linear(2, 1)
    with torch.no_grad():
        lin.weight.copy_(torch.tensor([[1.0, 2.0]]))
        lin.bias.zero_()
    y = lin(torch.ones(1, 2))
""")
init.same("a weight given as a Parameter", """
    lin = nn.Linear(2, 1, bias=False); lin.weight = nn.Parameter(torch.tensor([[3.0, 4.0]]))
    y = lin(torch.ones(1, 2)); n = lin.bias
""")
