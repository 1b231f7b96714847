"""exp, tanh and the sigmoid inside compiled kernels: polynomials without branches, which vectorize.

libm's functions are called number by number; in a small RNN they would take longer than all products together.
"""

# pyright: basic, reportUnusedParameter=false, reportCallIssue=false, reportArgumentType=false
from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

FASTMATH = {"contract", "nsz"}  # sums keep their order, so that an RNN does not depend on how loops were vectorized
INLINED = {"forceinline": True, "fastmath": FASTMATH, "error_model": "numpy"}
"""Helpers become part of the kernel when LLVM sees it; Numba's own inlining is far slower."""

# exp(x) is about 1 + x + x^2 E(x) for |x| <= ln(2) / 2, highest power first, with the smallest largest relative error
# (3e-9) that a polynomial of this degree has, found by a linear program.
_E = tuple(map(np.float32, (1.38139923e-3, 8.36883299e-3, 4.16684151e-2, 1.66665196e-1, 4.99999940e-1)))
# tanh(x) / x is about P(x^2) / Q(x^2) for |x| <= 9, found likewise (2e-8); beyond 9, tanh is 1 in float32.
_P = tuple(map(np.float32, (1.33557300e-8, 2.06099339e-5, 3.49564361e-3, 1.33810744e-1, 1.0)))
_Q = tuple(map(np.float32, (7.77701928e-7, 3.28572292e-4, 2.58771963e-2, 4.67143893e-1, 1.0)))
_ONE_FROM = np.float32(9.0)
_ONE = np.float32(1.0)
_LOG2_E, _LN2_HIGH, _LN2_LOW = np.float32(1.44269504088896341), np.float32(0.693359375), np.float32(-2.12194440e-4)
_FAR = np.float32(80.0)  # exp(80) and its inverse are still normal numbers; subnormal ones would be slow
_ROUNDER = np.float32(1.5 * 2**23)  # a small number added to it is rounded to a whole one, which its last bits hold


@intrinsic
def _raise(typingctx, x, rounded):  # noqa: ARG001
    """x 2^n in float32, for rounded = _ROUNDER + n: the last bits of it are added to the exponent of x."""

    def generate(context, builder, signature, arguments):  # noqa: ARG001
        whole = ir.IntType(32)
        number, exponent = (builder.bitcast(argument, whole) for argument in arguments)
        return builder.bitcast(builder.add(number, builder.shl(exponent, whole(23))), ir.FloatType())

    return types.float32(types.float32, types.float32), generate


def fast_exp(x):
    """exp inside kernels, for -80 <= x <= 80: a polynomial in float32 (error 1e-7, relative), libm's in float64."""
    raise NotImplementedError


def fast_tanh(x):
    """tanh inside kernels: a quotient of polynomials in float32 (error 3e-7, relative), libm's in float64."""
    raise NotImplementedError


@overload(fast_exp, jit_options=INLINED)
def _exp_of_type(x):
    if x != types.float32:
        return lambda x: np.exp(x)

    def polynomial(x):
        x = -_FAR if x < -_FAR else (min(x, _FAR))  # NaN stays: a diverging run must be seen
        rounded = x * _LOG2_E + _ROUNDER
        n = rounded - _ROUNDER
        f = (x - n * _LN2_HIGH) - n * _LN2_LOW
        p = ((((_E[0] * f + _E[1]) * f + _E[2]) * f + _E[3]) * f + _E[4]) * f + _ONE
        return _raise(p * f + _ONE, rounded)

    return polynomial


@overload(fast_tanh, jit_options=INLINED)
def _tanh_of_type(x):
    if x != types.float32:
        return lambda x: np.tanh(x)

    def rational(x):
        x = -_ONE_FROM if x < -_ONE_FROM else (min(x, _ONE_FROM))  # NaN stays, as in exp
        u = x * x
        p = (((_P[0] * u + _P[1]) * u + _P[2]) * u + _P[3]) * u + _P[4]
        q = (((_Q[0] * u + _Q[1]) * u + _Q[2]) * u + _Q[3]) * u + _Q[4]
        return x * p / q

    return rational


def fast_sigmoid(x):
    """Compute the sigmoid inside kernels; unlike half a tanh, it is exact to the last digits where it is nearly 0."""
    raise NotImplementedError


@overload(fast_sigmoid, jit_options=INLINED)
def _sigmoid_of_type(x):
    if x != types.float32:
        return lambda x: 1.0 / (1.0 + np.exp(-x))
    return lambda x: np.float32(1.0) / (np.float32(1.0) + fast_exp(-x))
