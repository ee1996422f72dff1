// The cells, forward and backward; part of KernelBody.h.

INLINE const float *input_row(const CharnnCellForward *a, size_t r, size_t width) {
    return a->input + (a->symbols ? (size_t)a->symbols[r] : r) * width;
}

// i, f, o = sigmoid(x + Wh + b), g = tanh(...), c = f c' + i g, h = o tanh(c).
static void lstm_forward(const CharnnCellForward *a) {
    const size_t H = a->units;
    for (size_t r = 0; r < a->rows; r++) {
        const float *x = input_row(a, r, 4 * H);
        const float *w = a->recurrent + r * 4 * H, *b = a->bias;
        const float *before = a->cellBefore + r * H;
        float *gates = a->gates + r * 4 * H, *cell = a->cell + r * H, *hidden = a->hidden + r * H;
#define BLOCK(j, n)                                                                                              \
    do {                                                                                                         \
        vf i_ = sigmoid_v(load_n(x + j, n) + load_n(w + j, n) + load_n(b + j, n));                               \
        vf f_ = sigmoid_v(load_n(x + H + j, n) + load_n(w + H + j, n) + load_n(b + H + j, n));                   \
        vf g_ = tanh_v(load_n(x + 2 * H + j, n) + load_n(w + 2 * H + j, n) + load_n(b + 2 * H + j, n));          \
        vf o_ = sigmoid_v(load_n(x + 3 * H + j, n) + load_n(w + 3 * H + j, n) + load_n(b + 3 * H + j, n));       \
        vf c_ = f_ * load_n(before + j, n) + i_ * g_;                                                            \
        store_n(gates + j, i_, n);                                                                               \
        store_n(gates + H + j, f_, n);                                                                           \
        store_n(gates + 2 * H + j, g_, n);                                                                       \
        store_n(gates + 3 * H + j, o_, n);                                                                       \
        store_n(cell + j, c_, n);                                                                                \
        store_n(hidden + j, o_ * tanh_v(c_), n);                                                                 \
    } while (0)
        OVER(H, BLOCK);
#undef BLOCK
    }
}

INLINE void add_to(float *p, vf v, size_t n) { store_n(p, load_n(p, n) + v, n); }

static void lstm_backward(const CharnnCellBackward *a) {
    const size_t H = a->units;
    float *bias = a->biasGradient;
    for (size_t r = 0; r < a->rows; r++) {
        float *gates = a->gates + r * 4 * H, *dcell = a->cellGradient + r * H;
        const float *before = a->cellBefore + r * H, *cell = a->cell + r * H;
        const float *above = a->outputGradient + r * H, *dhidden = a->hiddenGradient + r * H;
#define BLOCK(j, n)                                                                 \
    do {                                                                            \
        vf i_ = load_n(gates + j, n), f_ = load_n(gates + H + j, n);                \
        vf g_ = load_n(gates + 2 * H + j, n), o_ = load_n(gates + 3 * H + j, n);    \
        vf t_ = tanh_v(load_n(cell + j, n));                                        \
        vf dh_ = load_n(above + j, n) + load_n(dhidden + j, n);                     \
        vf dc_ = load_n(dcell + j, n) + dh_ * o_ * (1.0f - t_ * t_);                \
        vf di_ = dc_ * g_ * (i_ * (1.0f - i_));                                     \
        vf df_ = dc_ * load_n(before + j, n) * (f_ * (1.0f - f_));                  \
        vf dg_ = dc_ * i_ * (1.0f - g_ * g_);                                       \
        vf do_ = dh_ * t_ * (o_ * (1.0f - o_));                                     \
        store_n(dcell + j, dc_ * f_, n);                                            \
        store_n(gates + j, di_, n);                                                 \
        store_n(gates + H + j, df_, n);                                             \
        store_n(gates + 2 * H + j, dg_, n);                                         \
        store_n(gates + 3 * H + j, do_, n);                                         \
        add_to(bias + j, di_, n);                                                   \
        add_to(bias + H + j, df_, n);                                               \
        add_to(bias + 2 * H + j, dg_, n);                                           \
        add_to(bias + 3 * H + j, do_, n);                                           \
    } while (0)
        OVER(H, BLOCK);
#undef BLOCK
    }
}

// r, z = sigmoid(x + Wh + b), n = tanh(x + b + r (W h + b_hn)), h = (1 - z) n + z h'.
static void gru_forward(const CharnnCellForward *a) {
    const size_t H = a->units;
    for (size_t r = 0; r < a->rows; r++) {
        const float *x = input_row(a, r, 3 * H);
        const float *w = a->recurrent + r * 3 * H, *b = a->bias, *bn = a->candidateBias;
        const float *before = a->hiddenBefore + r * H;
        float *gates = a->gates + r * 3 * H, *candidate = a->candidate + r * H, *hidden = a->hidden + r * H;
#define BLOCK(j, n)                                                                                     \
    do {                                                                                                \
        vf r_ = sigmoid_v(load_n(x + j, n) + load_n(w + j, n) + load_n(b + j, n));                      \
        vf z_ = sigmoid_v(load_n(x + H + j, n) + load_n(w + H + j, n) + load_n(b + H + j, n));          \
        vf m_ = load_n(w + 2 * H + j, n) + load_n(bn + j, n);                                           \
        vf n_ = tanh_v(load_n(x + 2 * H + j, n) + load_n(b + 2 * H + j, n) + r_ * m_);                  \
        store_n(gates + j, r_, n);                                                                      \
        store_n(gates + H + j, z_, n);                                                                  \
        store_n(gates + 2 * H + j, n_, n);                                                              \
        store_n(candidate + j, m_, n);                                                                  \
        store_n(hidden + j, z_ * (load_n(before + j, n) - n_) + n_, n);                                 \
    } while (0)
        OVER(H, BLOCK);
#undef BLOCK
    }
}

static void gru_backward(const CharnnCellBackward *a) {
    const size_t H = a->units;
    float *bias = a->biasGradient, *bias_n = a->candidateBiasGradient;
    for (size_t r = 0; r < a->rows; r++) {
        float *gates = a->gates + r * 3 * H, *candidate = a->candidate + r * H;
        float *dhidden = a->hiddenGradient + r * H;
        const float *before = a->hiddenBefore + r * H, *above = a->outputGradient + r * H;
#define BLOCK(j, n)                                                                 \
    do {                                                                            \
        vf r_ = load_n(gates + j, n), z_ = load_n(gates + H + j, n);                \
        vf n_ = load_n(gates + 2 * H + j, n), m_ = load_n(candidate + j, n);        \
        vf dh_ = load_n(above + j, n) + load_n(dhidden + j, n);                     \
        vf dz_ = dh_ * (load_n(before + j, n) - n_) * (z_ * (1.0f - z_));           \
        vf dn_ = dh_ * (1.0f - z_) * (1.0f - n_ * n_);                              \
        vf dm_ = dn_ * r_;                                                          \
        vf dr_ = dn_ * m_ * (r_ * (1.0f - r_));                                     \
        store_n(dhidden + j, dh_ * z_, n);                                          \
        store_n(gates + j, dr_, n);                                                 \
        store_n(gates + H + j, dz_, n);                                             \
        store_n(gates + 2 * H + j, dn_, n);                                         \
        store_n(candidate + j, dm_, n);                                             \
        add_to(bias + j, dr_, n);                                                   \
        add_to(bias + H + j, dz_, n);                                               \
        add_to(bias + 2 * H + j, dn_, n);                                           \
        add_to(bias_n + j, dm_, n);                                                 \
    } while (0)
        OVER(H, BLOCK);
#undef BLOCK
    }
}

// h = act(x + Wh + b). The comparison lets NaN through relu.
INLINE void rnn_forward(const CharnnCellForward *a, int relu) {
    const size_t H = a->units;
    for (size_t r = 0; r < a->rows; r++) {
        const float *x = input_row(a, r, H);
        const float *w = a->recurrent + r * H, *b = a->bias;
        float *hidden = a->hidden + r * H;
#define BLOCK(j, n)                                                                              \
    do {                                                                                         \
        vf v_ = load_n(x + j, n) + load_n(w + j, n) + load_n(b + j, n);                          \
        store_n(hidden + j, relu ? choose(v_ < splat(0.0f), splat(0.0f), v_) : tanh_v(v_), n);   \
    } while (0)
        OVER(H, BLOCK);
#undef BLOCK
    }
}

static void rnn_tanh_forward(const CharnnCellForward *a) { rnn_forward(a, 0); }
static void rnn_relu_forward(const CharnnCellForward *a) { rnn_forward(a, 1); }

INLINE void rnn_backward(const CharnnCellBackward *a, int relu) {
    const size_t H = a->units;
    float *bias = a->biasGradient;
    for (size_t r = 0; r < a->rows; r++) {
        float *gates = a->gates + r * H;
        const float *hidden = a->hidden + r * H;
        const float *above = a->outputGradient + r * H, *dhidden = a->hiddenGradient + r * H;
#define BLOCK(j, n)                                                                         \
    do {                                                                                    \
        vf h_ = load_n(hidden + j, n);                                                      \
        vf dh_ = load_n(above + j, n) + load_n(dhidden + j, n);                             \
        vf d_ = relu ? choose(h_ > splat(0.0f), dh_, splat(0.0f)) : dh_ * (1.0f - h_ * h_); \
        store_n(gates + j, d_, n);                                                          \
        add_to(bias + j, d_, n);                                                            \
    } while (0)
        OVER(H, BLOCK);
#undef BLOCK
    }
}

static void rnn_tanh_backward(const CharnnCellBackward *a) { rnn_backward(a, 0); }
static void rnn_relu_backward(const CharnnCellBackward *a) { rnn_backward(a, 1); }

// What the table of kernels has of them.
#define CELL_KERNELS                      \
    .lstmForward = lstm_forward,          \
    .gruForward = gru_forward,            \
    .rnnTanhForward = rnn_tanh_forward,   \
    .rnnReluForward = rnn_relu_forward,   \
    .lstmBackward = lstm_backward,        \
    .gruBackward = gru_backward,          \
    .rnnTanhBackward = rnn_tanh_backward, \
    .rnnReluBackward = rnn_relu_backward,
