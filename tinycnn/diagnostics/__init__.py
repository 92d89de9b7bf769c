"""Looking at nets and checking them: gradients, shapes, costs, activations, the first nan."""
