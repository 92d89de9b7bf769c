"""Idioms: NumPy; printing."""

from tests.idioms.idiom import Subject

arrays = Subject("NumPy")
arrays.same("numpy() shares memory", "x = torch.zeros(3); a = x.numpy(); a[0] = 1; x[1] = 2")
arrays.same("from_numpy shares memory", "a = np.zeros(3); x = torch.from_numpy(a); a[0] = 1; x[1] = 2")
arrays.same("np.array, np.asarray of a tensor", """
    x = torch.arange(3.0); a = np.array(x); b = np.asarray(x); c = np.asarray(x, dtype=np.float64)
    d = np.array(x, copy=True)
""")
arrays.same("functions of NumPy on a tensor", """
    x = torch.arange(4.0); b = np.stack([x, x]); c = np.concatenate([x.numpy(), np.ones(1, np.float32)])
    d = np.mean(x.numpy()); e = float(np.max(x.numpy()))
""")
arrays.same("an image for matplotlib", """
    img = numbers(3, 4, 5) / 2 + 0.5; npimg = img.numpy(); a = np.transpose(npimg, (1, 2, 0))
    b = img.permute(1, 2, 0).numpy()
    c = img.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to('cpu', torch.uint8).numpy()
""")
arrays.same("from an image of NumPy", """
    a = (np.arange(24).reshape(2, 4, 3) * 10).astype(np.uint8)
    x = torch.from_numpy(a.transpose((2, 0, 1))).float().div(255)
    y = torch.from_numpy(a).permute(2, 0, 1).unsqueeze(0)
""")
arrays.same("numbers of NumPy", """
    x = torch.ones(2) * np.float32(2); y = torch.tensor(np.float64(1.5))
    z = torch.tensor([np.float32(1), np.float32(2)]); w = torch.ones(2) + np.int64(1)
""")
arrays.same("tolist, item", """
    x = torch.tensor([[1, 2], [3, 4]]); a = x.tolist(); b = torch.tensor(2.5).tolist()
    c = torch.tensor([True]).item(); d = torch.tensor(3).item()
""")
arrays.same("a list of arrays", """
    x = torch.tensor(np.array([np.ones(2), np.zeros(2)]))
    y = torch.stack([torch.from_numpy(a) for a in (np.ones(2), np.zeros(2))])
""")
arrays.same("DLPack", """
    x = torch.arange(3.0); a = np.from_dlpack(x); y = torch.from_dlpack(np.arange(3.0))
    d = x.__dlpack_device__()[0]; z = torch.utils.dlpack.from_dlpack(x)
""")
arrays.same("force", "a = torch.ones(2, requires_grad=True).numpy(force=True)")
arrays.same("a dtype from an array's dtype", """
    a = np.ones(2, dtype=np.float32); x = torch.from_numpy(a); same = x.dtype == torch.float32
    y = torch.tensor(a, dtype=torch.float64).numpy().dtype
""")
arrays.same("sklearn-like arrays", """
    X, y = np.random.rand(6, 2).astype(np.float32), np.array([0, 1, 0, 1, 1, 0])
    X_t, y_t = torch.from_numpy(X), torch.from_numpy(y).long(); ds = TensorDataset(X_t, y_t); a, b = ds[2]
    Z = torch.Tensor(X); W = torch.Tensor(y)
""")

show = Subject("Printing")
show.same("floats", """
    print(torch.tensor([1.0, 2.0, 3.5])); print(torch.tensor([1.0, 2.0])); print(torch.tensor(3.14159))
    print(torch.tensor(2.0))
""")
show.same("ints and booleans", """
    print(torch.tensor([1, -2, 30])); print(torch.tensor([True, False])); print(torch.tensor(7))
    print(torch.tensor(True))
""")
show.same("a matrix", """
    print(torch.arange(6).view(2, 3)); print(torch.tensor([[1.5, -2.25], [100.0, 0.0]]))
    print(torch.tensor([[True, False]]))
""")
show.same("three dimensions", "print(torch.arange(12.0).view(2, 2, 3)); print(torch.zeros(2, 1, 2, 2))")
show.same("scientific notation", """
    print(torch.tensor([1e-5, 1.0])); print(torch.tensor([1e10, 1.0])); print(torch.tensor([0.0001, 0.5]))
    print(torch.tensor([123456.0, 0.1])); print(torch.tensor(1e-8)); print(torch.tensor([1e5, 2e5]))
""")
show.same("large whole floats", """
    print(torch.tensor([1000.0, 20000.0])); print(torch.tensor([1e8, 2e8])); print(torch.tensor([1e9, 2.0]))
""")
show.same("nan and inf", """
    print(torch.tensor([float('nan'), 1.0, float('inf')]))
    print(torch.tensor([float('nan'), 1.5, -float('inf')])); print(torch.tensor(float('nan')))
""")
show.same("requires_grad", """
    print(torch.tensor([1.0], requires_grad=True)); print(torch.ones(2, 2, requires_grad=True).detach())
""")
show.same("an empty tensor", "print(torch.tensor([])); print(torch.zeros(0, 3))")
show.same("other dtypes", "print(torch.zeros(2).tolist()); print(torch.tensor([1.5, 2]).double().tolist())")
show.same("many elements", """
    print(torch.arange(2000)); print(torch.arange(2000.0)); print(torch.zeros(100, 100))
    print(torch.arange(5000.0).view(50, 100))
""")
show.same("a long row wraps", """
    print(torch.arange(60)); print(torch.linspace(0, 1, 23)); print(torch.arange(40.0).view(2, 20))
""")
show.same("a Parameter", "print(nn.Parameter(torch.ones(2)))")
show.same("in an f-string", """
    x = torch.tensor(0.123456); print(f'{x:.3f} {x.item():.2e} {x}')
    print(f'{torch.tensor(3)}', f'{torch.tensor(3):d}', '%.2f' % x); print(str(torch.tensor([1.0])) + '!')
    print(f'{torch.tensor([1.0, 2.0])}')
""")
show.same("in a list and a dictionary", """
    print([torch.tensor(1.0), torch.tensor([2])]); print({'a': torch.tensor([1.5])})
""")
show.same("a module", "print(nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU(), nn.Linear(2, 1)))")
show.same("set_printoptions", """
    torch.set_printoptions(precision=2); print(torch.tensor([1.23456, 2.0]))
    torch.set_printoptions(sci_mode=False); print(torch.tensor([1e-5, 1.0]))
    torch.set_printoptions(profile='default'); print(torch.tensor([1.23456]))
""")
show.same("negative numbers line up", """
    print(torch.tensor([[1.0, -1.0], [-10.5, 2.0]])); print(torch.tensor([-1, 10]))
""")
show.same("a column", "print(torch.tensor([[1.5], [2.5]])); print(torch.zeros(3, 1).tolist())")
show.same("rounded numbers", """
    print(torch.tensor([0.1 + 0.2, 1 / 3, 2 / 3])); print(torch.tensor([1.00004, 2.0]))
    print(torch.tensor([0.99999, 1.0]))
""")
show.same("a device", "print(torch.zeros(1).device)")
show.same("summarised three dimensions", "print(torch.arange(20000.0).view(20, 10, 100)[0:20])")
