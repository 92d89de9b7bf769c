"""The least program that trains a convolutional net on MNIST to 99 %: python examples/mnist_minimal.py"""

import tinycnn
from tinycnn import nn
from tinycnn.data import MNIST, DataLoader, RandomShift

EPOCHS = 4
tinycnn.manual_seed(0)
train_set, test_set = MNIST(train=True, download=True), MNIST(train=False, download=True)
loader = DataLoader(train_set, batch_size=64, shuffle=True)
augment = RandomShift(1, fill=train_set.background)

model = nn.Sequential(
    nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),  # (N, 1, 28, 28) -> (N, 6, 14, 14)
    nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),            # -> (N, 16, 5, 5)
    nn.Flatten(), nn.Linear(16 * 5 * 5, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
)  # fmt: skip
loss_fn = nn.CrossEntropyLoss()
optimizer = tinycnn.optim.SGD(model.parameters(), lr=0.03, momentum=0.9, weight_decay=5e-4)
schedule = tinycnn.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.03, total_steps=EPOCHS * len(loader))

for epoch in range(1, EPOCHS + 1):
    model.train()
    for images, labels in loader:
        loss = loss_fn(model(augment(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()

    model.eval()
    with tinycnn.no_grad():
        correct = sum((model(x).argmax(1) == y).sum().item() for x, y in DataLoader(test_set, batch_size=500))
    print(f"epoch {epoch}: test accuracy {correct / len(test_set):.2%}", flush=True)
