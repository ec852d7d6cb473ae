"""A song as the networks hear it: who plays what, its bars and beats on their grid, its tokens."""
