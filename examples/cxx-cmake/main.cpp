#include <iostream>
#include <numeric>
#include <vector>

int main() {
    const std::vector<int> numbers{1, 2, 3, 4};
    std::cout << std::accumulate(numbers.begin(), numbers.end(), 0) << '\n';
}
