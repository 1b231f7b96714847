"""Compiled arithmetic of RNN stacks on CPUs."""
