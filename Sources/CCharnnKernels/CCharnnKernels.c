#include "CCharnnKernels.h"
