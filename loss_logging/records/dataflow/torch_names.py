"""The names of torch's functions, by their effect on the examples of a batch."""

from __future__ import annotations

from typing import Any

__all__ = [
    "ALONG",
    "BATCH_FIRST",
    "ELEMENTWISE",
    "FRESH",
    "PARAMETERS_FOLLOW",
    "READS",
    "RESHAPES",
    "VIEWS",
    "VIEW_PROPERTIES",
]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Each element of the result comes from the elements at the same place of the arguments, broadcast. In place too.
ELEMENTWISE = _words(
    """
    abs absolute acos acosh add addcdiv addcmul angle arccos arccosh arcsin arcsinh arctan arctan2 arctanh asin
    asinh atan atan2 atanh bitwise_and bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor
    bool bfloat16 byte ceil celu cfloat char clamp clamp_max clamp_min clip clone complex conj conj_physical
    contiguous copy copysign cos cosh cpu cuda deg2rad detach digamma div divide double dropout elu eq erf erfc
    erfinv exp exp2 expit expm1 fill fix float float_power full_like floor floor_divide fmax fmin fmod frac gammaln
    gelu ge greater greater_equal gt half hardshrink hardsigmoid hardswish hardtanh heaviside hypot i0 igamma
    igammac imag int isclose isfinite isinf isnan isneginf isposinf isreal le ldexp leaky_relu lerp less less_equal
    lgamma log log10 log1p log2 log_ndtr logaddexp logaddexp2 logical_and logical_not logical_or logical_xor logit
    log_sigmoid logsigmoid long lt masked_fill maximum minimum mish mul multiply mvlgamma nan_to_num ndtr ndtri ne
    neg negative nextafter not_equal polar polygamma positive pow rad2deg real reciprocal relu relu6 remainder
    requires_grad resolve_conj resolve_neg round rrelu rsqrt rsub selu sgn short sigmoid sign signbit silu sin sinc
    sinh softplus softshrink softsign sqrt square sub subtract tan tanh tanhshrink threshold to tril triu
    true_divide trunc type type_as where xlog1py xlogy zero alpha_dropout bernoulli alias pin_memory
    __add__ __sub__ __mul__ __truediv__ __div__ __radd__ __rsub__ __rmul__ __rdiv__ __rtruediv__ __floordiv__
    __rfloordiv__ __mod__ __rmod__ __pow__ __rpow__ __neg__ __pos__ __abs__ __invert__ __and__ __or__ __xor__ __rand__
    __ror__ __rxor__ __lt__ __le__ __gt__ __ge__ __eq__ __ne__ __iadd__ __isub__ __imul__ __idiv__ __itruediv__
    __ipow__ __iand__ __ior__ __ixor__ __ifloordiv__ __imod__ __lshift__ __rshift__ __deepcopy__ broadcast_tensors
    """
)

# The result is the argument's data in row-major order, in other dimensions.
RESHAPES = ("view", "reshape", "flatten", "unflatten", "ravel", "view_as", "reshape_as")

# The results are views, or could be: their strides tell which dimensions they have kept.
VIEWS = _words(
    """
    transpose transpose_ permute movedim moveaxis swapaxes swapdims t adjoint select narrow unbind chunk split
    split_with_sizes tensor_split unsafe_chunk unsafe_split hsplit vsplit dsplit expand expand_as broadcast_to squeeze
    unsqueeze squeeze_ unsqueeze_ diagonal unfold atleast_1d atleast_2d atleast_3d
    """
)
VIEW_PROPERTIES = ("T", "mT", "H", "mH")

# Functions that reduce, reorder or mix one or some dimensions: the place of that argument, and its default.
ALONG: dict[str, tuple[int, Any]] = {
    **dict.fromkeys(
        _words(
            "mean sum prod std var amax amin logsumexp nanmean nansum all any max min argmax argmin median nanmedian"
            " count_nonzero std_mean var_mean"
        ),
        (1, "all"),
    ),
    **dict.fromkeys(("norm", "vector_norm"), (2, "all")),
    **dict.fromkeys(_words("sort argsort glu"), (1, -1)),
    **dict.fromkeys(_words("softmax log_softmax softmin cumsum cumprod logcumsumexp cummax cummin"), (1, None)),
    **dict.fromkeys(_words("topk kthvalue fft ifft rfft irfft hfft ihfft diff"), (2, -1)),
    **dict.fromkeys(("fft2", "ifft2", "rfft2", "irfft2"), (2, (-2, -1))),
    **dict.fromkeys(("fftn", "ifftn", "rfftn", "irfftn"), (2, "all")),
    **dict.fromkeys(("fftshift", "ifftshift"), (1, "all")),
    "flip": (1, "all"),
    "roll": (2, "all"),
    "normalize": (2, 1),
    "gumbel_softmax": (4, -1),
    "multinomial": (9, -1),
    "layer_norm": (1, ()),
    "rms_norm": (1, ()),
    "pad": (1, ()),
}

# (N, C, ...) -> (N, ...), and every entry of the first dimension by itself. batch_norm uses statistics of the batch,
# but each row of its result still belongs to one example.
PARAMETERS_FOLLOW = _words(
    """
    conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d batch_norm group_norm instance_norm
    native_group_norm prelu
    """
)
BATCH_FIRST = (
    *PARAMETERS_FOLLOW,
    *_words(
        """
    avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool3d max_pool1d_with_indices max_pool2d_with_indices
    max_pool3d_with_indices adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d
    adaptive_max_pool2d adaptive_max_pool3d lp_pool1d lp_pool2d max_unpool1d max_unpool2d max_unpool3d interpolate
    grid_sample affine_grid pixel_shuffle pixel_unshuffle channel_shuffle local_response_norm dropout1d dropout2d
    dropout3d feature_dropout feature_alpha_dropout fold unfold bilinear
    """
    ),
)

# The result has the shape of an argument, but not its values.
FRESH = _words(
    """
    zeros_like ones_like empty_like rand_like randn_like randint_like new_zeros new_ones new_full new_empty
    new_tensor normal_ uniform_ random_ exponential_
    """
)

# A scalar is taken out of torch.
READS = ("item", "tolist", "__float__", "numpy", "__array__", "__format__")
