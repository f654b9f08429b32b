// A library that the tests load with dlopen; a child of theirs would not have it.

extern "C" int function_of_the_plugin() { return 42; }
