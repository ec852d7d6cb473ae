"""A song as input of the networks: who plays what, its bars and beats on their grid, its tokens."""
