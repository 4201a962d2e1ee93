#include "model/rows.h"
