// The implementations of stb, for every program that draws: PNG files and TrueType fonts.
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_TRUETYPE_IMPLEMENTATION
#if __has_include(<stb/stb_image_write.h>)
#include <stb/stb_image_write.h>
#include <stb/stb_truetype.h>
#else
#include <stb_image_write.h>
#include <stb_truetype.h>
#endif
